-- A "before user created" hook for Supabase Auth: it rejects sign-ups with an address at the domain
-- that tikbridge gives to TikTok users. For projects that need public e-mail sign-up; otherwise turn
-- sign-up off, which is simpler and does more.
--
-- Supabase does not call it when an admin creates a user, so it does not affect the bridge. It does not
-- see e-mail changes: turn on "Confirm email" too.
--
-- To install, run this file in the project's SQL editor and choose the function under
-- Authentication > Hooks > Before User Created. If supabase.email_domain of the bridge is not
-- tiktok.oauth, change it below.

create or replace function public.tikbridge_before_user_created(event jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  domain constant text := 'tiktok.oauth';
  email text := lower(coalesce(event -> 'user' ->> 'email', ''));
begin
  if split_part(email, '@', -1) = domain then
    return jsonb_build_object('error', jsonb_build_object(
      'http_code', 403,
      'message', 'This address is reserved for people who sign in with TikTok.'
    ));
  end if;
  return '{}'::jsonb;
end;
$$;

-- Only Supabase Auth may call it.
revoke execute on function public.tikbridge_before_user_created(jsonb) from public;
do $$
declare
  r text;
begin
  foreach r in array array['anon', 'authenticated'] loop
    if exists (select from pg_roles where rolname = r) then
      execute format('revoke execute on function public.tikbridge_before_user_created(jsonb) from %I', r);
    end if;
  end loop;
end;
$$;
grant usage on schema public to supabase_auth_admin;
grant execute on function public.tikbridge_before_user_created(jsonb) to supabase_auth_admin;
