import { useEffect, useState } from 'react'

import { supabase } from './signin.js'

/** Who is signed in: a user of Supabase, null for nobody, undefined while that is not known. */
export function useUser() {
  const [user, setUser] = useState()
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((event, session) => setUser(session?.user ?? null))
    return () => data.subscription.unsubscribe()
  }, [])
  return user
}
