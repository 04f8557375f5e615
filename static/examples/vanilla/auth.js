// The page that signs people in. They also come back to it: from TikTok on the web, by the deeplink in Despia.

const buttons = document.querySelectorAll('button')
const message = document.querySelector('#message')

function show(text, busy = false) {
  message.textContent = text
  buttons.forEach((button) => (button.disabled = busy))
}

tiktok.onResult((result) => {
  if (result.status === 'signed_in') location.replace('/')
  else if (result.status === 'cancelled') show('Sign-in cancelled.')
  else show(result.error_description || 'Sign-in did not work. Please try again.')
})

// Finishes a sign-in that is in the address: when the page loads, and when the page was open already and
// the deeplink changed only its address.
tiktok.handleRedirect().then((result) => result && leave())
addEventListener('popstate', () => tiktok.handleRedirect())

// Who comes back with an error and is signed in has pressed the back button.
async function leave() {
  const { data } = await client.auth.getSession()
  if (data.session) location.replace('/')
}

function signIn(options) {
  show('Waiting for TikTok…', true)
  tiktok.signIn(options).catch((error) => show(error.message))
}

document.querySelector('#sign-in').onclick = () => signIn()
document.querySelector('#other-account').onclick = () => signIn({ selectAccount: true })
show('') // the buttons can be pressed now
