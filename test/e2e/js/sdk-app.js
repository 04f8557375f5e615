// The app of sdk_test.go. Its page names the bridge in data attributes, and the first part of its path
// says how the SDK is used. What happens is left in window, for the test to read.

const { bridge, supabaseUrl, supabaseKey } = document.documentElement.dataset;
const [kind, version, flowType = 'implicit', detect] = location.pathname.split('/').slice(1);
// The client comes first and may read the address before the SDK does.
const client =
  /^(supabase|provider.*)$/.test(kind) &&
  window.supabase.createClient(supabaseUrl, supabaseKey, { auth: { flowType, detectSessionInUrl: detect !== 'off' } });
if (kind === 'provider-held' && location.search) await fetch(`${supabaseUrl}/auth/v1/waiting`);
if (kind === 'provider-last') await client.auth.initialize(); // it has used the code when the SDK is loaded
const { createTikTokSignIn, getTikTokOAuthUrl } = window.tikbridge ?? (await import(`${bridge}/sdk/tikbridge.js`));

const options = { bridgeUrl: `${bridge}/`, scheme: 'myapp' };
const sessions = [];
const results = [];
if (client) {
  options.supabase = client;
  if (kind !== 'supabase') options.provider = 'custom:tiktok';
} else if (kind === 'fake') {
  options.supabase = { auth: { getSession: () => window.getSession(), setSession: async () => ({ error: null }) } };
} else {
  options.setSession = async (session) => {
    if (window.refuse) throw new Error('refused');
    if (window.stall) await new Promise((resolve) => (window.goOn = resolve));
    sessions.push(session);
  };
  options.getSession = () => sessions.at(-1);
}
if (kind === 'function') options.despia = window.despiaNative;
if (kind === 'storage') {
  const kept = (window.kept = new Map());
  options.storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
}

window.searchOnceLoaded = location.search; // what the rest of the app gets to see

if (kind === 'late') {
  window.ready = true;
  await new Promise((resolve) => (window.makeLater = resolve));
}

const make = () => createTikTokSignIn(options);
const tiktok = make();
tiktok.onResult(() => {
  throw new Error('a callback that throws');
});
tiktok.onResult((result) => results.push(result));
const stop = tiktok.onResult(() => results.push('not stopped'));
stop();
// supabase-js waits for its callbacks, and this one waits for supabase-js.
if (version === 'stuck') client.auth.onAuthStateChange(async () => void (await tiktok.handleRedirect()));
// An app with a hash router has its handler at the root, whatever route is shown.
if (kind === 'hash') tiktok.onResult(({ status }) => (location.hash = status === 'signed_in' ? '#/home' : '#/auth'));
addEventListener('unhandledrejection', (event) => event.preventDefault()); // of the callback above

Object.assign(window, { tiktok, make, sessions, results, getTikTokOAuthUrl, client });
if (kind === 'strict') {
  // React's strict mode mounts twice, and the first object is thrown away; the router that was there
  // before puts back the address it knows.
  const first = tiktok.handleRedirect();
  const again = make().handleRedirect();
  history.replaceState(history.state, '', window.arrival);
  const routed = tiktok.handleRedirect();
  window.mounts = await Promise.all([first, again, routed]);
} else {
  window.first = await tiktok.handleRedirect();
}
window.ready = true;
