// Loaded before Google's functions framework, which listens on all interfaces whatever it is told: servers listen on
// 127.0.0.1 and a free port, and say which.

'use strict';

const net = require('node:net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
    const then = args.find(arg => typeof arg === 'function');
    this.once('listening', () => process.stdout.write(`listening on 127.0.0.1:${this.address().port}\n`));
    return listen.call(this, { host: '127.0.0.1', port: 0 }, then);
};
