// Drives the real @supabase/supabase-js with a session that the bridge minted. Reads
// {url, publishableKey, secretKey, session} as JSON from standard input; supabasejs_test.go starts it.
// It ends with status 0 and the line "ok" if all is as an app expects.

import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';

import { createClient } from '@supabase/supabase-js';
import ws from 'ws';

const { url, publishableKey, secretKey, session } = JSON.parse(await text(process.stdin));

/** A client as an app has it, or with the secret key as its server has it. Each has a memory of its own. */
function client(key) {
  return createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    realtime: { transport: ws }, // Node.js before 22 has no WebSocket
  });
}

/** Returns data, or throws what supabase-js calls an error. */
function good({ data, error }, what) {
  if (error) throw new Error(`${what}: ${error.code ?? error.name}: ${error.message}`, { cause: error });
  return data;
}

/**
 * Checks that something is refused, with this code of GoTrue. For session_not_found supabase-js has an
 * error of its own, without a code.
 */
function refused({ error }, code, what) {
  assert.ok(error, `${what}: was not refused`);
  assert.equal(error.code ?? error.name, code, `${what}: ${error.message}`);
}

async function asApp() {
  const { auth } = client(publishableKey);
  const events = [];
  const { data: listener } = auth.onAuthStateChange((event) => events.push(event));

  const { access_token, refresh_token } = session;
  const set = good(await auth.setSession({ access_token, refresh_token }), 'setSession');
  assert.equal(set.user.id, session.user.id);
  assert.equal(set.session.access_token, access_token, 'a fresh session is taken as it is');

  const { user } = good(await auth.getUser(), 'getUser');
  assert.equal(user.id, session.user.id);
  assert.match(user.email, /^[\w-]+@tiktok\.oauth$/);
  assert.equal(user.role, 'authenticated');
  assert.equal(user.user_metadata.tiktok_open_id, user.app_metadata.tiktok.open_id);
  assert.ok(user.email_confirmed_at, 'the e-mail counts as confirmed');

  const { claims } = good(await auth.getClaims(), 'getClaims');
  assert.equal(claims.sub, user.id);
  assert.equal(claims.role, 'authenticated');

  const refreshed = good(await auth.refreshSession(), 'refreshSession');
  assert.equal(refreshed.user.id, user.id);
  assert.notEqual(refreshed.session.refresh_token, refresh_token, 'the refresh token is traded');

  const updated = good(await auth.updateUser({ data: { favourite: 'blue' } }), 'updateUser');
  assert.equal(updated.user.user_metadata.favourite, 'blue');
  assert.equal(updated.user.user_metadata.tiktok_open_id, user.user_metadata.tiktok_open_id, 'the rest stays');

  const last = good(await auth.getSession(), 'getSession').session.access_token;
  good(await auth.signOut(), 'signOut');
  assert.equal(good(await auth.getSession(), 'getSession').session, null);
  refused(await auth.getUser(last), 'AuthSessionMissingError', 'the token of an ended session');
  listener.subscription.unsubscribe();
  for (const event of ['SIGNED_IN', 'TOKEN_REFRESHED', 'USER_UPDATED', 'SIGNED_OUT']) {
    assert.ok(events.includes(event), `${event} is missing in ${events}`);
  }
}

async function asServer() {
  const { auth } = client(secretKey);
  const { admin } = auth;
  const email = 'somebody@mail.example';

  const { user } = good(
    await admin.createUser({ email, email_confirm: true, user_metadata: { name: 'Somebody' }, app_metadata: { plan: 'free' } }),
    'createUser',
  );
  assert.equal(user.email, email);
  refused(await admin.createUser({ email, email_confirm: true }), 'email_exists', 'a second account with one address');
  assert.equal(good(await admin.getUserById(user.id), 'getUserById').user.user_metadata.name, 'Somebody');

  const { users } = good(await admin.listUsers({ page: 1, perPage: 50 }), 'listUsers');
  assert.ok(users.some(({ id }) => id === user.id));
  assert.ok(users.some(({ id }) => id === session.user.id), 'the one who came by the bridge is listed');

  const changed = good(await admin.updateUserById(user.id, { app_metadata: { plan: 'paid' } }), 'updateUserById').user;
  assert.equal(changed.app_metadata.plan, 'paid');
  assert.equal(changed.user_metadata.name, 'Somebody');

  const { properties, user: linked } = good(await admin.generateLink({ type: 'magiclink', email }), 'generateLink');
  assert.equal(linked.id, user.id);
  const app = client(publishableKey).auth;
  const verify = { type: properties.verification_type, token_hash: properties.hashed_token };
  const verified = good(await app.verifyOtp(verify), 'verifyOtp');
  assert.equal(verified.user.id, user.id);
  refused(await client(publishableKey).auth.verifyOtp(verify), 'otp_expired', 'a link that was used');

  good(await admin.signOut(verified.session.access_token, 'global'), 'admin.signOut');
  refused(await app.getUser(verified.session.access_token), 'AuthSessionMissingError', 'a session the server ended');

  good(await admin.deleteUser(user.id), 'deleteUser');
  refused(await admin.getUserById(user.id), 'user_not_found', 'a deleted account');

  refused(await client(publishableKey).auth.admin.listUsers(), 'not_admin', 'the list of users for everybody');
}

await asApp();
await asServer();
console.log('ok');
