import { Navigate } from 'react-router'

import { supabase } from './signin.js'
import { useUser } from './useUser.js'

export function Home() {
  const user = useUser()
  if (user === null) return <Navigate to="/auth" replace />
  return (
    <>
      <h1 id="name" dir="auto">
        {user ? user.user_metadata.name || 'Signed in' : ''}
      </h1>
      <button id="sign-out" type="button" onClick={() => supabase.auth.signOut({ scope: 'local' })}>
        Sign out
      </button>
    </>
  )
}
