import { supabase } from '@/integrations/supabase/client'
import { useSession } from '@/hooks/useSession'

const Index = () => {
  const { session } = useSession()
  if (!session) return null
  return (
    <main>
      <h1 id="name">{session.user.user_metadata.name}</h1>
      <button id="sign-out" onClick={() => supabase.auth.signOut()}>
        Log out
      </button>
    </main>
  )
}

export default Index
