// Serves Blob storage and storage queues from memory, on free ports of 127.0.0.1, until its standard input ends: that
// is, until whoever started it closes it or dies. Prints both addresses in one line. It works in the folder that Azurite is
// installed in; its arguments are Azurite's.
const further = process.argv.slice(1);
const hosts = ["blob", "queue", "table"].flatMap((name) => [`--${name}Host`, "127.0.0.1", `--${name}Port`, "0"]);
process.argv = [
    process.argv[0], "azurite", ...hosts, "--inMemoryPersistence", "--silent", "--disableTelemetry", ...further,
];
const found = {};
console.log = (line) => {
    const match = /(Blob|Queue) service is successfully listening at (\S+)/.exec(line);
    if (!match) return;
    found[match[1]] = match[2];
    if (found.Blob && found.Queue) process.stdout.write(`${found.Blob} ${found.Queue}\n`);
};
require(`${process.cwd()}/node_modules/azurite/dist/src/azurite.js`);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
