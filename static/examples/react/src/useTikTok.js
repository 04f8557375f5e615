import { useEffect, useState } from 'react'
import { useSearchParams } from 'react-router'

import { tiktok } from './signin.js'

/**
 * Signs people in with TikTok. Use it on the page that people come back to.
 *
 * @returns {{signIn: (options?: {selectAccount?: boolean}) => Promise<void>, busy: boolean, message: string}}
 */
export function useTikTok() {
  const [busy, setBusy] = useState(false)
  const [message, setMessage] = useState('')
  const [searchParams] = useSearchParams()

  useEffect(
    () =>
      tiktok.onResult((result) => {
        setBusy(false)
        if (result.status === 'cancelled') setMessage('Sign-in cancelled.')
        if (result.status === 'failed') setMessage(result.error_description || 'Sign-in did not work. Please try again.')
      }),
    [],
  )

  // Finishes a sign-in that is in the address. The page may be open already when the deeplink arrives:
  // then only the address changes, and so does searchParams.
  useEffect(() => {
    tiktok.handleRedirect()
  }, [searchParams])

  async function signIn(options) {
    setBusy(true)
    setMessage('Waiting for TikTok…')
    try {
      await tiktok.signIn(options)
    } catch (error) {
      setBusy(false)
      setMessage(error.message)
    }
  }

  return { signIn, busy, message }
}
