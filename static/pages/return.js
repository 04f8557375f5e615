// The return page: follows the deeplink that the bridge put into the button. The button stays, since
// some browsers want a tap before they open an app.

const action = document.getElementById('action');

// What TikTok put into the address has been used; it need not stay in the history. The address that
// starts a sign-in holds no secret, and can be tried again as it is.
if (location.pathname.endsWith('/callback')) history.replaceState(null, '', location.pathname);

if (action instanceof HTMLAnchorElement && 'follow' in action.dataset) {
  action.focus({ preventScroll: true });
  // A navigation in mid-load can leave the page half loaded behind the button. Coming back to this
  // page, or loading it again, must not send the person off once more.
  const follow = () => {
    location.href = action.href;
  };
  if (document.readyState === 'complete') follow();
  else addEventListener('load', follow, { once: true });
}
