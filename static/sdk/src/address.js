// What the bridge writes into the address of the app's page.

const ANSWER = /^(handoff|error|error_description|request_id)(=|$)/i;

/**
 * @typedef {object} Arrival
 * @property {string} id Tells one arrival from another.
 * @property {string} handoff Empty if the sign-in failed.
 * @property {string} error
 * @property {string} description
 */

/**
 * Reads what the bridge answered.
 * @returns {Arrival | null}
 */
export function readArrival() {
  const query = new URLSearchParams(location.search);
  const handoff = query.get('handoff') ?? '';
  const error = query.get('error') ?? '';
  // An error without a request id is not the bridge's.
  const id = handoff || (query.has('error') && query.get('request_id'));
  if (!id) return null;
  return { id, handoff, error, description: query.get('error_description') ?? '' };
}

/** Takes the answer out of the address bar and out of the history. */
export function cleanAddress() {
  const address = new URL(location.href);
  address.search = withoutAnswer(address.search);
  history.replaceState(history.state, '', address);
}

/**
 * The page to come back to: without a fragment, and without the answer of an earlier sign-in.
 * @param {string} [page] This one unless told.
 */
export function returnAddress(page = location.href) {
  const address = new URL(page, location.href);
  address.search = withoutAnswer(address.search);
  address.hash = '';
  return address.href;
}

/**
 * Leaves the other parameters as they are spelled.
 * @param {string} search
 */
function withoutAnswer(search) {
  return search.slice(1).split('&').filter((parameter) => !ANSWER.test(parameter)).join('&');
}
