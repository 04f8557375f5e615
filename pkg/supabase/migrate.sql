-- Gives the accounts that the bridge made by sign-in links the identity by which Supabase knows a person of the
-- provider {provider}. Without it, everybody who signs in through the provider gets a second, empty account.
--
-- The order:
--   1. tikbridge users adopt    if people signed up with the guide's Edge Function; see "unanchored" below.
--   2. this SQL                 in the SQL editor of Supabase, while the bridge still signs in by link.
--   3. tikbridge supabase setup which creates the provider.
--   4. supabase.provider        set it to {provider}, and restart the bridge.
--   5. this SQL once more       for people who came for the first time between 2 and 4.
--
-- It trusts app_metadata.tiktok.open_id alone, which only admins can write. It changes no id, no address and no
-- password, and ends no session. It may be run again at any time: whoever has the identity keeps it.

-- First look. Run this on its own, and again afterwards: to_take_over is 0 then.
--   to_take_over       accounts that get the identity
--   done               accounts that have it
--   two_accounts       people who signed in through the provider before this: they stay with their new account, and
--                      nobody reaches the old one any more. To give it back to them, delete the new one and run
--                      this again
--   same_person        accounts that carry the open_id of another account as well; the one used last is taken over
--   unanchored         accounts with an address of ours that belong to nobody yet. Adopt them first, or their
--                      owners get new accounts
with anchored as (
  select u.id, u.raw_app_meta_data->'tiktok'->>'open_id' as open_id, i.user_id as identity_of,
    row_number() over (
      partition by u.raw_app_meta_data->'tiktok'->>'open_id' order by u.last_sign_in_at desc nulls last, u.id
    ) as place
  from auth.users u
  left join auth.identities i
    on i.provider = {provider_literal} and i.provider_id = u.raw_app_meta_data->'tiktok'->>'open_id'
  where u.deleted_at is null and not u.is_sso_user
    and jsonb_typeof(u.raw_app_meta_data->'tiktok'->'open_id') = 'string'
    and u.raw_app_meta_data->'tiktok'->>'open_id' <> ''
)
select
  count(*) filter (where identity_of is null and place = 1) as to_take_over,
  count(*) filter (where identity_of = id) as done,
  count(*) filter (where identity_of <> id and place = 1) as two_accounts,
  count(*) filter (where place > 1) as same_person,
  (
    select count(*) from auth.users
    where deleted_at is null and not is_sso_user and email like {address_pattern}
      and email not like 'evicted-%'
      and jsonb_typeof(raw_app_meta_data->'tiktok'->'open_id') is distinct from 'string'
  ) as unanchored
from anchored;

-- The change.
with anchored as (
  select distinct on (open_id) open_id, id, last_sign_in_at
  from (
    select id, last_sign_in_at, raw_app_meta_data->'tiktok'->>'open_id' as open_id
    from auth.users
    where deleted_at is null and not is_sso_user
      and jsonb_typeof(raw_app_meta_data->'tiktok'->'open_id') = 'string'
  ) as users
  where open_id <> ''
  order by open_id, last_sign_in_at desc nulls last, id
), identified as (
  insert into auth.identities
    (provider, provider_id, user_id, identity_data, last_sign_in_at, created_at, updated_at)
  select {provider_literal}, open_id, id,
    jsonb_build_object(
      'sub', open_id, 'iss', {issuer_literal}, 'email_verified', false, 'phone_verified', false
    ),
    last_sign_in_at, now(), now()
  from anchored
  on conflict (provider_id, provider) do nothing
  returning user_id
), listed as (
  update auth.users
  set raw_app_meta_data = jsonb_set(raw_app_meta_data, '{providers}', case
    when jsonb_typeof(raw_app_meta_data->'providers') = 'array'
      then raw_app_meta_data->'providers' || jsonb_build_array({provider_literal})
    else jsonb_build_array({provider_literal})
  end)
  from identified
  where auth.users.id = identified.user_id
  returning auth.users.id
)
select count(*) as taken_over from listed;
