import { Navigate } from 'react-router'

import { useTikTok } from './useTikTok.js'
import { useUser } from './useUser.js'

export function Auth() {
  const user = useUser()
  const { signIn, busy, message } = useTikTok()
  if (user) return <Navigate to="/" replace />
  return (
    <>
      <h1>Sign in</h1>
      <button id="sign-in" className="main" type="button" disabled={busy} onClick={() => signIn()}>
        Continue with TikTok
      </button>
      <button id="other-account" type="button" disabled={busy} onClick={() => signIn({ selectAccount: true })}>
        Use another TikTok account
      </button>
      <p id="message" role="status">
        {message}
      </p>
    </>
  )
}
