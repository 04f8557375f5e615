// Signs people in with openid-client: with every way in which a client authenticates, with both algorithms, and
// with all checks on. Reads {issuer, browser, secret, openID, name} as JSON from standard input;
// provider_clients_test.go starts it. It ends with status 0 and the line "ok" if all is as it should be.

import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';

import * as oidc from 'openid-client';

const { issuer, browser, secret, openID, name } = JSON.parse(await text(process.stdin));
const redirect_uri = 'https://app.example/callback';

/** Lets a person follow an address, and returns where their browser comes back. */
async function visit(url, decision = 'continue') {
  const response = await fetch(`${browser}?${new URLSearchParams({ url, decision })}`);
  const answer = await response.text();
  assert.ok(response.ok, answer);
  return new URL(answer);
}

/** Starts a sign-in. Returns its address, and what must come back. */
async function begin(config, more = {}) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  const expectedNonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: 'openid profile',
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
    ...more,
  });
  return { url, checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true } };
}

async function signIn(config, alg) {
  const { url, checks } = await begin(config);
  const back = await visit(url);
  const tokens = await oidc.authorizationCodeGrant(config, back, checks);

  const header = JSON.parse(Buffer.from(tokens.id_token.split('.')[0], 'base64url'));
  assert.equal(header.alg, alg);
  const claims = tokens.claims();
  assert.equal(claims.sub, openID);
  assert.equal(claims.name, name);
  assert.ok(Math.abs(Date.now() / 1000 - claims.auth_time) < 60, 'auth_time is now');
  const info = await oidc.fetchUserInfo(config, tokens.access_token, openID);
  assert.deepEqual([info.name, info.picture, info.email], [claims.name, claims.picture, undefined]);

  await assert.rejects(oidc.authorizationCodeGrant(config, back, checks), { error: 'invalid_grant' }, 'a used code');
}

/** Expects that the sign-in comes back with an error that openid-client understands. */
async function signInFails(config, error, { decision, ...more }) {
  const { url, checks } = await begin(config, more);
  await assert.rejects(oidc.authorizationCodeGrant(config, await visit(url, decision), checks), { error });
}

const options = { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] };
for (const alg of ['RS256', 'ES256']) {
  for (const [id, method] of [
    [alg, oidc.ClientSecretBasic(secret)],
    [alg, oidc.ClientSecretPost(secret)],
    [`public-${alg}`, oidc.None()],
  ]) {
    const config = await oidc.discovery(new URL(issuer), id, undefined, method, options);
    await signIn(config, alg);
  }
}
const config = await oidc.discovery(new URL(issuer), 'RS256', secret, undefined, options);
await signInFails(config, 'login_required', { prompt: 'none' });
await signInFails(config, 'access_denied', { decision: 'cancel' });
console.log('ok');
