import { onUnmounted, ref } from 'vue'

import { supabase } from './signin.js'

/** Who is signed in: a user of Supabase, null for nobody, undefined while that is not known. */
export function useUser() {
  const user = ref()
  const { data } = supabase.auth.onAuthStateChange((event, session) => {
    user.value = session?.user ?? null
  })
  onUnmounted(() => data.subscription.unsubscribe())
  return user
}
