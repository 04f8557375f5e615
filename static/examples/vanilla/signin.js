// What both pages use. Put in your own three addresses, the key, and the scheme.

const client = supabase.createClient('https://abcdefghijkl.supabase.co', 'sb_publishable_…')

const tiktok = tikbridge.createTikTokSignIn({
  bridgeUrl: 'https://signin.app.example',
  supabase: client,
  scheme: 'myapp', // Despia > Publish > Deeplink; leave it out without Despia
})
