-- The password of the role that GoTrue connects as. The database image creates the role without one,
-- and runs this file, as supabase_admin, when the database is new.
\getenv password POSTGRES_PASSWORD
alter role supabase_auth_admin with password :'password';
