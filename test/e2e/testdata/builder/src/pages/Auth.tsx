import { useEffect, useState } from 'react'
import { useNavigate, useSearchParams } from 'react-router'

import { tiktok } from '@/lib/tiktok'

const Auth = () => {
  const [pending, setPending] = useState(false)
  const [message, setMessage] = useState('')
  const [searchParams] = useSearchParams()
  const navigate = useNavigate()

  useEffect(
    () =>
      tiktok.onResult((result) => {
        setPending(false)
        if (result.status === 'signed_in') {
          navigate('/', { replace: true })
        } else if (result.status === 'cancelled') {
          setMessage('Sign-in cancelled.')
        } else {
          setMessage(result.error_description || 'Sign-in did not work. Please try again.')
        }
      }),
    [],
  )

  useEffect(() => {
    tiktok.handleRedirect()
  }, [searchParams])

  const handleSignIn = async () => {
    setPending(true)
    setMessage('')
    try {
      await tiktok.signIn()
    } catch (error) {
      setPending(false)
      setMessage(error instanceof Error ? error.message : String(error))
    }
  }

  return (
    <main>
      <h1>Welcome back</h1>
      <button id="sign-in" onClick={handleSignIn} disabled={pending}>
        Continue with TikTok
      </button>
      <p id="message" role="status">
        {message}
      </p>
    </main>
  )
}

export default Auth
