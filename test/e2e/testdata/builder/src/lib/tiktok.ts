import { createTikTokSignIn } from '@tikbridge/sdk'
import { supabase } from '@/integrations/supabase/client'

export const tiktok = createTikTokSignIn({
  bridgeUrl: 'https://signin.app.example',
  supabase,
  scheme: 'myapp',
})
