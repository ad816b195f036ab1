// Runs RustWren's runtime inside a Node function of Google's, since Google has no function runtime for Rust.
//
// The runtime lies beside this file. It is started when the function is loaded, listens on a port of its own on this
// machine's inside, and is given every request. Requests and answers are passed on while they come. Who may call is
// decided by Google before anything gets here.

'use strict';

const { spawn } = require('node:child_process');
const diagnostics = require('node:diagnostics_channel');
const http = require('node:http');
const path = require('node:path');

const PROGRAM = path.join(__dirname, 'rustwren-runtime');
const ARGUMENTS = ['serve', '--platform-auth', '--listen', '127.0.0.1:0', '--parent', String(process.pid)];
// The last of what the runtime has said, for the client.
const TAIL = 4096;
// Google kills an instance ten seconds after it has been told to end.
const LAST_WORDS = 9000;
// Headers that belong to one connection and not to what is said over it.
const OF_CONNECTION = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'];

// Whoever collects what is written here may be gone. Requests are answered all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });

// The framework reads the whole of a body into memory before it calls a function, and unpacks it. A request that says
// nothing of a body is left alone; what it said is put back when the function has it.
const framing = Symbol('framing');
diagnostics.subscribe('http.server.request.start', ({ request }) => {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    request[framing] = { length, encoding };
    delete request.headers['content-length'];
    delete request.headers['transfer-encoding'];
});

let worker = null;
let ending = false;
// Answers that are not at their end.
const open = new Set();

function exitWhenDone() {
    if (ending && !worker && open.size === 0) process.exit(0);
}

// The runtime, started unless it runs: a promise of its port, which fails with what it has said where it ends instead.
function start() {
    const child = spawn(PROGRAM, ARGUMENTS, { stdio: ['ignore', 'pipe', 'pipe'] });
    const started = { child, ended: null, port: null };
    let said = '';
    started.port = new Promise((resolve, reject) => {
        const end = how => {
            if (started.ended) return;
            started.ended = new Error(`the runtime ${how}` + (said.trim() ? `:\n${said.trim()}` : ''));
            if (worker === started) worker = null;
            if (!ending) console.error(`rustwren: ${started.ended.message}`);
            reject(started.ended);
        };
        child.on('error', error => end(`cannot be started: ${error.message}`));
        child.on('close', (code, signal) => {
            end(signal ? `was ended by ${signal}` : `ended with exit code ${code}`);
            exitWhenDone();
        });
        let line = '';
        child.stdout.setEncoding('utf8').on('data', text => {
            if (line === null) return void process.stdout.write(text);
            line += text;
            const match = /^listening on \S*:(\d+)\n([^]*)/.exec(line);
            if (!match) return;
            line = null;
            process.stdout.write(match[2]);
            resolve(Number(match[1]));
        });
        child.stderr.setEncoding('utf8').on('data', text => {
            said = (said + text).slice(-TAIL);
            process.stderr.write(text);
        });
    });
    // Whoever needs the port hears of its failure; nobody may need it.
    started.port.catch(() => {});
    return started;
}

function running() {
    if (!worker) worker = start();
    return worker;
}

// What the client reads in place of an answer. A runtime that never listened will do no better next time.
function fail(res, error, began) {
    if (res.headersSent || res.destroyed) return void res.destroy();
    res.writeHead(500, { 'content-type': 'text/plain', 'x-rustwren-worker': began ? 'ended' : 'not-started' });
    res.end(error.message);
}

async function pass(req, res) {
    open.add(res);
    res.on('close', () => {
        open.delete(res);
        exitWhenDone();
    });
    if (ending && !worker) {
        req.resume();
        res.writeHead(503, { 'content-type': 'text/plain', connection: 'close' });
        return void res.end('the instance is about to end');
    }
    const { length, encoding } = req[framing] || {};
    const current = running();
    let port;
    try {
        port = await current.port;
    } catch (error) {
        req.resume();
        return fail(res, error, false);
    }
    if (res.destroyed) return;
    const headers = { ...req.headers };
    for (const name of OF_CONNECTION) delete headers[name];
    if (length !== undefined) headers['content-length'] = length;
    else if (encoding !== undefined) headers['transfer-encoding'] = 'chunked';
    const call = http.request({ agent, host: '127.0.0.1', port, method: req.method, path: req.originalUrl || req.url, headers });
    call.setNoDelay(true);
    call.on('response', answer => {
        const headers = { ...answer.headers };
        for (const name of OF_CONNECTION) delete headers[name];
        res.writeHead(answer.statusCode, headers);
        res.flushHeaders();
        // Cut off here as it was there: whoever reads must not take a part for the whole.
        answer.on('aborted', () => res.destroy());
        answer.on('error', () => res.destroy());
        answer.pipe(res);
    });
    call.on('error', error => {
        req.unpipe(call);
        req.resume();
        // The end of the process, which says more, comes a moment after that of its connections.
        const tell = () => fail(res, current.ended || error, true);
        if (current.ended || current.child.exitCode === null && current.child.signalCode === null && error.code !== 'ECONNRESET' && error.code !== 'ECONNREFUSED') tell();
        else wait(current).then(tell);
    });
    // A client that has left wants no answer, and its tasks are to stop.
    res.on('close', () => {
        if (!res.writableFinished) call.destroy();
    });
    req.pipe(call);
}

// Until the process has ended, or shows that it has not.
function wait(current) {
    const soon = new Promise(resolve => setTimeout(resolve, 1000).unref());
    const ended = new Promise(resolve => current.child.once('close', resolve));
    return Promise.race([soon, ended]);
}

// The framework ends the process at once when it is told to end, and answers whoever waits with an error. The runtime
// does better: it hands back what is finished.
function end() {
    if (ending) return;
    ending = true;
    if (worker) worker.child.kill('SIGTERM');
    exitWhenDone();
    setTimeout(() => process.exit(0), LAST_WORDS).unref();
}
process.on('SIGTERM', end);
process.on('newListener', (event, listener) => {
    if (event === 'SIGTERM' && listener !== end) setImmediate(() => process.removeListener(event, listener));
});

running();
exports.rustwren = pass;
