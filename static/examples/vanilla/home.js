// The page for people who are signed in. The others go to the page that signs them in.

const { data } = client.auth.onAuthStateChange((event, session) => {
  if (session) {
    document.querySelector('#name').textContent = session.user.user_metadata.name || 'Signed in'
  } else {
    data.subscription.unsubscribe() // once is enough
    location.replace('/auth')
  }
})

document.querySelector('#sign-out').onclick = () => client.auth.signOut({ scope: 'local' })
