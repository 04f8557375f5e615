import { onUnmounted, ref, watch } from 'vue'
import { useRoute } from 'vue-router'

import { tiktok } from './signin.js'

/** Signs people in with TikTok. Use it on the page that people come back to. */
export function useTikTok() {
  const busy = ref(false)
  const message = ref('')
  const route = useRoute()

  const stop = tiktok.onResult((result) => {
    busy.value = false
    if (result.status === 'cancelled') message.value = 'Sign-in cancelled.'
    if (result.status === 'failed') message.value = result.error_description || 'Sign-in did not work. Please try again.'
  })
  onUnmounted(stop)

  // Finishes a sign-in that is in the address. The page may be open already when the deeplink arrives:
  // then only the address changes, and so does the query.
  watch(() => route.query, () => void tiktok.handleRedirect(), { immediate: true })

  /** @param {{selectAccount?: boolean}} [options] */
  async function signIn(options) {
    busy.value = true
    message.value = 'Waiting for TikTok…'
    try {
      await tiktok.signIn(options)
    } catch (error) {
      busy.value = false
      message.value = error.message
    }
  }

  return { signIn, busy, message }
}
