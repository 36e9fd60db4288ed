// The services' images hold the libraries that the programs are linked with, and no others. (What is built and run in
// containers is tests/images/'s to try, where there is a Docker daemon.)

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SERVICES } from '../support/game.mjs';
import { BUILD, ROOT } from '../support/servers.mjs';

const run = (command, ...args) => execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const dockerfile = (service) => readFileSync(join(ROOT, 'services', service, 'Dockerfile'), 'utf8');

// In every image of its base, or of a build with sanitizers alone.
const NOT_LISTED = /^(libc6|libgcc-s1|lib(a|l|t|ub)san\d+)$/;
// Programs and files, which nothing is linked with.
const NO_LIBRARIES = ['ca-certificates'];

// The libraries that the image's last stage installs.
function installed(service) {
    const [, list] = /^FROM [^]*^FROM [^]*?apt-get install ((?:[^&]|\\\n)*)&&/m.exec(dockerfile(service));
    return list.split(/[\s\\]+/).filter((word) => word && !word.startsWith('-') && !NO_LIBRARIES.includes(word)).sort();
}

// What the programs name themselves; what these need in turn comes with their packages.
function packages(programs) {
    const files = new Map();
    for (const program of programs) {
        const paths = new Map([...run('ldd', program).matchAll(/^\s*(\S+) => (\/\S+)/gm)].map(([, name, path]) => [name, path]));
        const needed = [...run('objdump', '-p', program).matchAll(/^ +NEEDED +(\S+)/gm)].map(([, name]) => name);
        assert.ok(needed.includes('libc.so.6'), `${program}: ${needed}`);
        for (const name of needed) files.set(name, paths.get(name) ?? name);
    }
    // Debian may know a file by its name from before /lib became a link to /usr/lib, or from after it.
    const names = (path) => [path, path.replace(/^\/usr/, ''), `/usr${path}`];
    // Fails when it does not know one of the names, and tells of the others all the same.
    const { stdout, error } = spawnSync('dpkg', ['-S', ...[...files.values()].flatMap(names)], { encoding: 'utf8' });
    assert.ifError(error);
    const owners = new Map([...stdout.matchAll(/^([^:\s]+)(?::\w+)?: (\/\S+)$/gm)].map(([, owner, path]) => [path, owner]));
    return [...files].map(([name, path]) => names(path).map((one) => owners.get(one)).find(Boolean) ?? `${name} of no package`)
        .filter((name) => !NOT_LISTED.test(name));
}

// Whether the programs were built on the system that the images are made from: then the names of packages are the same.
function elsewhere() {
    const [, codename] = /^FROM debian:(\w+)/m.exec(dockerfile('sync'));
    const here = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
    return here !== codename && `made for ${codename}, this is ${here}`;
}

test('each image has the packages that its program or another service is linked with, and none beyond', { skip: elsewhere() }, () => {
    // The images share their layers, so that what one of them needs is in all (tests/check/images.sh).
    const wanted = new Set(packages(SERVICES.map((service) => join(BUILD, 'bin', `mmorts-${service}`))));
    assert.ok(wanted.size > 5, `${[...wanted]}`);
    for (const service of SERVICES) assert.deepEqual(installed(service), [...wanted].sort(), service);
});
