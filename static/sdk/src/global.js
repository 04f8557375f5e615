// The classic script: the functions of the module in window.tikbridge.

import { createTikTokSignIn, getTikTokOAuthUrl } from './index.js';

Object.assign(window, { tikbridge: { createTikTokSignIn, getTikTokOAuthUrl } });
