// Runs Lean's WebAssembly build under Node: runner.cjs HOME SRC ARGUMENT...
// HOME holds bin/lean.js, bin/lean.wasm and lib/lean; Lean sees SRC as /src, and this file's folder as /driver.
const fs = require('fs'), vm = require('vm'), path = require('path');
const [home, work] = process.argv.slice(2, 4).map(folder => path.resolve(folder)), args = process.argv.slice(4);
const tools = __dirname;
process.chdir('/');  // Lean looks for its current folder in a file system that has only what is mounted below
const loader = path.join(home, 'bin', 'lean.js');

// One line at a time: Lean's reader gets an end of input after each, or it would wait to fill its buffer.
let pending = [], afterLine = false;
function stdin() {
  if (afterLine) { afterLine = false; return null; }
  if (pending.length === 0) {
    const chunk = Buffer.alloc(4096);
    const count = fs.readSync(0, chunk, 0, chunk.length, null);
    if (count === 0) return null;
    pending = [...chunk.subarray(0, count)];
  }
  const character = pending.shift();
  afterLine = character === 10;
  return character;
}

globalThis.Module = {
  arguments: args, thisProgram: '/bin/lean', stdin,
  preRun: [() => {
    const M = globalThis.Module, FS = M.FS;
    const mounts = { '/lib/lean': path.join(home, 'lib', 'lean'), '/src': work, '/driver': tools };
    for (const folder of [...Object.keys(mounts), '/bin', path.dirname(loader)]) FS.mkdirTree(folder);
    for (const [folder, root] of Object.entries(mounts)) FS.mount(FS.filesystems.NODEFS, { root }, folder);
    M.ENV.LEAN_PATH = '/lib/lean:/src/.lake/wasm';
    FS.chdir('/');
  }],
  onExit: code => { process.exitCode = code; },
  onAbort: why => { console.error('ABORT', why); process.exit(3); },
};
globalThis.require = require; globalThis.__filename = loader; globalThis.__dirname = path.dirname(loader);
vm.runInThisContext(fs.readFileSync(loader, 'utf8'), { filename: loader });
