-- Sets the password of GoTrue's database role, which the image creates without one. The image runs this
-- file as supabase_admin when the database is new.
\getenv password POSTGRES_PASSWORD
alter role supabase_auth_admin with password :'password';
