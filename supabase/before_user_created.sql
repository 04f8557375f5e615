-- A "before user created" hook for Supabase Auth: nobody may sign up with an address of the domain
-- that tikbridge gives to TikTok users. For projects that need public e-mail sign-up open; where
-- nobody signs up by e-mail, closing sign-up is simpler and does more.
--
-- It is not called when an admin makes a user, so the bridge itself is not affected. It does not see
-- e-mail changes: switch on "Confirm email" too.
--
-- To install: run this file in the SQL editor of the project, then choose the function in
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
      'message', 'Addresses of this domain are given out by signing in with TikTok.'
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
