// Signs people in with better-auth and its plugin genericOAuth. It wants an e-mail of everybody, and TikTok has none:
// mapProfileToUser makes one up, in a domain that nobody can own. For input and output see openid-client.mjs.

import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';

import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { genericOAuth } from 'better-auth/plugins';

const { issuer, browser, secret, openID, name } = JSON.parse(await text(process.stdin));
const app = 'https://app.example';

async function signIn(clientId) {
  const database = { user: [], session: [], account: [], verification: [] };
  const auth = betterAuth({
    baseURL: app,
    secret: 'of the app itself, nothing to do with the bridge',
    database: memoryAdapter(database),
    telemetry: { enabled: false },
    plugins: [
      genericOAuth({
        config: [
          {
            providerId: 'tiktok',
            discoveryUrl: `${issuer}/.well-known/openid-configuration`,
            clientId,
            clientSecret: secret,
            scopes: ['openid', 'profile'],
            mapProfileToUser: (profile) => ({ email: `${profile.sub}@tiktok.invalid` }),
          },
        ],
      }),
    ],
  });
  const cookies = new Map();
  const ask = async (address, body) => {
    const headers = { cookie: [...cookies].map(([key, value]) => `${key}=${value}`).join('; '), origin: app };
    if (body) headers['content-type'] = 'application/json';
    const response = await auth.handler(
      new Request(address, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body), headers }),
    );
    for (const cookie of response.headers.getSetCookie()) {
      const [, key, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      cookies.set(key, value);
    }
    return response;
  };

  const start = await ask(`${app}/api/auth/sign-in/social`, { provider: 'tiktok', callbackURL: `${app}/welcome` });
  const { url } = await start.json();
  const back = await (await fetch(`${browser}?${new URLSearchParams({ url, decision: 'continue' })}`)).text();
  const end = await ask(back);
  assert.equal(end.headers.get('location'), `${app}/welcome`, back);
  const { user } = await (await ask(`${app}/api/auth/get-session`)).json();
  assert.equal(database.user.length, 1);
  return { user, account: database.account[0] };
}

for (const clientId of ['RS256', 'ES256']) {
  const { user, account } = await signIn(clientId);
  assert.equal(user.name, name);
  assert.match(user.image, /^http/);
  assert.equal(user.emailVerified, false);
  assert.equal(account.accountId, openID);
}
console.log('ok');
