// Compiles a component of Vue, read from standard input, to JavaScript, as Vite's plugin does.

import { text } from 'node:stream/consumers';

import { compileScript, parse } from 'vue/compiler-sfc';

const { descriptor, errors } = parse(await text(process.stdin));
if (errors.length) throw errors[0];
process.stdout.write(compileScript(descriptor, { id: 'example', inlineTemplate: true }).content);
