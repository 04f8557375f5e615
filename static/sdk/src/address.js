// What the bridge writes into the address of the app's page. No client library reads these names:
// supabase-js up to 2.89 drops the session of whoever comes back with error_description.

const ANSWER = /^tikbridge_(handoff|error|error_description|request_id)(=|$)/i;
/** The answer to a sign-in of another kind, which supabase-js would read again. */
const OTHER_ANSWER = /^error(_code|_description)?(=|$)/i;

/**
 * @typedef {object} Arrival
 * @property {string} id Tells one arrival from another.
 * @property {string} handoff Empty if the sign-in failed.
 * @property {string} error
 * @property {string} description
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
