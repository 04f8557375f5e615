// Signs people in with @auth/core, which is inside Auth.js and NextAuth.js 5, as its documentation sets a provider of
// type "oidc" up. For input and output see openid-client.mjs.

import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';

import { Auth, skipCSRFCheck } from '@auth/core';

const { issuer, browser, secret, openID, name } = JSON.parse(await text(process.stdin));
const app = 'https://app.example';

/** Signs in, and returns who the app says it was. */
async function signIn(clientId) {
  const config = {
    basePath: '/auth',
    secret: 'of the app itself, nothing to do with the bridge',
    trustHost: true,
    skipCSRFCheck, // its form would carry a token; that is between the app and its own page
    providers: [
      {
        id: 'tiktok',
        name: 'TikTok',
        type: 'oidc',
        issuer,
        clientId,
        clientSecret: secret,
        checks: ['pkce', 'state', 'nonce'],
      },
    ],
    callbacks: {
      jwt: ({ token, account }) => (account ? { ...token, openID: account.providerAccountId } : token),
      session: ({ session, token }) => ({ ...session, openID: token.openID }),
    },
    logger: { error: (error) => console.error(error, error.cause) },
  };
  const cookies = new Map();
  const ask = async (address, body) => {
    const response = await Auth(
      new Request(address, {
        method: body ? 'POST' : 'GET',
        body,
        headers: { cookie: [...cookies].map(([key, value]) => `${key}=${value}`).join('; ') },
      }),
      config,
    );
    for (const cookie of response.headers.getSetCookie()) {
      const [, key, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      cookies.set(key, value);
    }
    return response;
  };

  const start = await ask(`${app}/auth/signin/tiktok`, new URLSearchParams({ callbackUrl: `${app}/welcome` }));
  const query = new URLSearchParams({ url: start.headers.get('location'), decision: 'continue' });
  const back = await (await fetch(`${browser}?${query}`)).text();
  const end = await ask(back);
  assert.equal(end.headers.get('location'), `${app}/welcome`, back);
  return (await ask(`${app}/auth/session`)).json();
}

for (const clientId of ['RS256', 'ES256']) {
  const session = await signIn(clientId);
  assert.equal(session.openID, openID);
  assert.equal(session.user.name, name);
  assert.match(session.user.image, /^http/);
}
console.log('ok');
