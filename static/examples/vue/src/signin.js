// Put in your own addresses, the key and the scheme. tikbridge.js should be as new as your bridge:
//   curl https://signin.app.example/sdk/tikbridge.js > src/tikbridge.js

import { createClient } from '@supabase/supabase-js'

import { createTikTokSignIn } from './tikbridge.js'

export const supabase = createClient('https://abcdefghijkl.supabase.co', 'sb_publishable_…')

export const tiktok = createTikTokSignIn({
  bridgeUrl: 'https://signin.app.example',
  supabase,
  scheme: 'myapp', // Despia > Publish > Deeplink; leave it out without Despia
})
