// Put in your own addresses, the key and the scheme.

import { createTikTokSignIn } from '@tikbridge/sdk'
import { createClient } from '@supabase/supabase-js'

export const supabase = createClient('https://abcdefghijkl.supabase.co', 'sb_publishable_…')

export const tiktok = createTikTokSignIn({
  bridgeUrl: 'https://signin.app.example',
  supabase,
  scheme: 'myapp', // Despia > Publish > Deeplink; leave it out without Despia
})
