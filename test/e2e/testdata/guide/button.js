function getTikTokOAuthUrl(isNative, deeplinkScheme) {
  const TIKTOK_CLIENT_KEY = 'your_tiktok_client_key' // public, safe client-side
  const APP_URL = 'https://yourapp.com'

  const state = crypto.randomUUID()
  const redirectUri = isNative
    ? `${APP_URL}/native-callback`
    : `${APP_URL}/auth`

  // Encode deeplink_scheme into state so the callback can read it
  const stateParam = isNative ? `${state}|${deeplinkScheme}` : state

  return 'https://www.tiktok.com/v2/auth/authorize/?' + new URLSearchParams({
    client_key: TIKTOK_CLIENT_KEY,
    response_type: 'code',
    scope: 'user.info.basic',
    redirect_uri: redirectUri,
    state: stateParam,
  })
}
