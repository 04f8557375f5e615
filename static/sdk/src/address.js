// What the bridge writes into the address of the app's page, and GoTrue in the provider flow. No client
// library reads the names of the bridge: supabase-js up to 2.89 drops the session of whoever comes back
// with error_description.

const ANSWER = /^tikbridge_(handoff|error|error_description|request_id)(=|$)/i;
/** The answer to a sign-in of another kind, which supabase-js would read again. */
const OTHER_ANSWER = /^error(_code|_description)?(=|$)/i;
/** GoTrue's answer, of which it repeats an error in the fragment. */
const GOTRUE_ANSWER = /^(code|error(_code|_description)?)(=|$)/i;
/** GoTrue's codes are UUIDs; those of others stay where they are. */
const GOTRUE_CODE = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * @typedef {object} Arrival
 * @property {string} id Tells one arrival from another.
 * @property {string} handoff Empty if the sign-in failed.
 * @property {string} error
 * @property {string} description
 * @property {boolean} [ofProvider] It is GoTrue's answer, in the provider flow, and has:
 * @property {string} [code] Empty if the sign-in failed.
 * @property {string} [errorCode] More exact than error, if GoTrue itself refuses.
 */

/**
 * Takes the bridge's answer out of the address bar and out of the history.
 * @returns {Arrival | null}
 */
export function takeFromAddress() {
  const address = new URL(location.href);
  const query = address.searchParams;
  const handoff = query.get('tikbridge_handoff') ?? '';
  const error = query.get('tikbridge_error') ?? '';
  const id = handoff || (error && query.get('tikbridge_request_id'));
  if (!id) return null;

  const description = query.get('tikbridge_error_description') ?? '';
  address.search = without(address.search, ANSWER);
  history.replaceState(history.state, '', address);
  return { id, handoff, error, description };
}

/**
 * Takes GoTrue's answer out of the address bar before supabase-js reads it: its versions up to 2.89 drop the
 * session that is there when a sign-in is cancelled or fails.
 * @param {string} flow The sign-in under way. Without one, GoTrue's answers are for others.
 * @param {Set<string>} taken The codes taken before, which a router may put back.
 * @returns {Arrival | null}
 */
export function takeGoTrueAnswer(flow, taken) {
  const address = new URL(location.href);
  const fragment = new URLSearchParams(address.hash.slice(1));
  /** @param {string} name */
  const read = (name) => address.searchParams.get(name) || fragment.get(name) || '';
  const error = read('error');
  const code = error ? '' : read('code');
  if (!(flow && error) && !(GOTRUE_CODE.test(code) && (flow || taken.has(code)))) return null;

  // GoTrue gives a refusal of a hook an empty one, and what the person said none at all.
  const errorCode = read('error_code') || (address.searchParams.has('error_code') ? 'unknown' : '');

  taken.add(code);
  address.search = without(address.search, GOTRUE_ANSWER);
  if (fragment.has('error') || fragment.has('sb')) address.hash = '';
  history.replaceState(history.state, '', address);
  return { id: code || flow, handoff: '', error, description: '', ofProvider: true, code, errorCode };
}

/**
 * The page to come back to: without a fragment, and without the answer of an earlier sign-in.
 * @param {string} [page] This one unless told.
 */
export function returnAddress(page = location.href) {
  const address = new URL(page, location.href);
  address.search = without(without(address.search, ANSWER), OTHER_ANSWER);
  address.hash = '';
  return address.href;
}

/**
 * Leaves the other parameters as they are spelled.
 * @param {string} search
 * @param {RegExp} names
 */
function without(search, names) {
  return search.replace(/^\?/, '').split('&').filter((parameter) => !names.test(parameter)).join('&');
}
