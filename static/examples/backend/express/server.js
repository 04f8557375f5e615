// A backend that keeps its own users and lets tikbridge sign them in with TikTok.

import { randomBytes } from 'node:crypto';
import express from 'express';
import { Webhook } from 'standardwebhooks';

const { BACKEND_SECRET, BLOCKED = '', HOST = '127.0.0.1', PORT = '3000' } = process.env;
const webhook = new Webhook(BACKEND_SECRET);
const blocked = BLOCKED.split(',');

// A real app has a database.
const users = new Map(); // by open_id
const sessions = new Map(); // the open_id, by access token
const answers = new Map(); // by message id

const app = express();

// The signature is about the bytes as they came, so no JSON parser may run before.
app.post('/tiktok', express.raw({ type: '*/*' }), (req, res) => {
  let message;
  try {
    message = webhook.verify(req.body, req.headers);
  } catch {
    return res.status(401).json({ error: 'bad_signature' });
  }
  switch (message.type) {
    case 'sign_in': {
      const id = req.get('webhook-id');
      // The bridge repeats a message whose answer got lost: it is one sign-in.
      if (!answers.has(id)) answers.set(id, signIn(message.data));
      const { status, body } = answers.get(id);
      return res.status(status).json(body);
    }
    case 'session': {
      const open_id = sessions.get(message.data.access_token);
      return open_id ? res.json({ open_id }) : res.status(403).json({ error: 'signed_out' });
    }
    case 'authorization.removed':
      signOut(message.data.open_id);
      return res.sendStatus(204);
    case 'ping':
      return res.sendStatus(204);
    default:
      return res.status(400).json({ error: 'unknown_type' });
  }
});

/** Finds or creates the user, and starts a session. */
function signIn({ open_id, display_name, avatar_url }) {
  if (blocked.includes(open_id)) return { status: 403, body: { error: 'not_invited' } };
  const isNew = !users.has(open_id);
  const known = users.get(open_id) ?? { id: randomBytes(8).toString('hex') };
  // What TikTok did not tell is missing, and must not overwrite what is known.
  const user = { ...known, ...(display_name && { name: display_name }), ...(avatar_url && { avatar: avatar_url }) };
  users.set(open_id, user);
  const access_token = randomBytes(32).toString('base64url');
  sessions.set(access_token, open_id);
  return { status: isNew ? 201 : 200, body: { access_token, user } };
}

/** Ends all sessions of a person. */
function signOut(openId) {
  for (const [token, owner] of sessions) {
    if (owner === openId) sessions.delete(token);
  }
}

// What the app asks for with its access token.
app.get('/me', (req, res) => {
  const openId = sessions.get(req.get('authorization')?.replace(/^Bearer /, ''));
  if (!openId) return res.status(401).json({ error: 'not_signed_in' });
  return res.json(users.get(openId));
});

const server = app.listen(Number(PORT), HOST, () => console.log(`listening on http://${HOST}:${PORT}`));
process.on('SIGTERM', () => {
  server.close(() => process.exit());
  server.closeAllConnections();
});
