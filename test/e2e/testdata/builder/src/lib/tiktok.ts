import { supabase } from '@/integrations/supabase/client'

export const tiktok = window.tikbridge?.createTikTokSignIn({
  bridgeUrl: 'https://signin.app.example',
  supabase,
  scheme: 'myapp',
})
