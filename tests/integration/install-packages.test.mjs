// tools/install-packages.sh against stand-ins for dpkg-query, apt-get, node and npm that record
// what they are asked: which packages, in which order, and what policy-rc.d said meanwhile.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { ROOT, tempDir } from '../support/servers.mjs';

const BUILD = 'build-essential pkg-config libmicrohttpd-dev libnng-dev protobuf-c-compiler'.split(' ');

class Machine {
    constructor({ installed = '', aptFails = 0, aptSays = 'E: Unable to locate', npmFails = 0, uid = 0, sudo = true, node = true } = {}) {
        this.root = tempDir();
        this.bin = join(this.root, 'bin');
        this.policy = join(this.root, 'policy-rc.d');
        this.callsPath = join(this.root, 'calls');
        for (const directory of ['bin', 'tools', 'tests']) mkdirSync(join(this.root, directory));
        cpSync(join(ROOT, 'tools/install-packages.sh'), join(this.root, 'tools/install-packages.sh'));
        writeFileSync(join(this.root, 'tests/package.json'), '{"dependencies":{}}');
        writeFileSync(join(this.root, 'installed'), installed);
        writeFileSync(join(this.root, 'failures'), String(aptFails));
        writeFileSync(join(this.root, 'npm-failures'), String(npmFails));
        // Only these commands are found, so that what is missing here is missing for the script.
        for (const command of 'bash env awk comm sort cat rm mv tee chmod mktemp cmp cp dirname mkdir grep'.split(' ')) {
            this.command(command, `exec ${spawnSync('which', [command], { encoding: 'utf8' }).stdout.trim()} "$@"`);
        }
        this.command('id', `echo ${uid}`);
        this.command('dpkg-query', `shift 3; for p in "$@"; do grep -qx "$p" '${this.root}/installed' && echo "$p installed"; done; exit 1`);
        this.command('apt-get', `
            echo "apt-get $* [$(sh '${this.policy}' 2>/dev/null; echo $?)] $DEBIAN_FRONTEND" >>'${this.callsPath}'
            case "$*" in *update*) exit 0 ;; esac
            read -r failures <'${this.root}/failures'
            [ "$failures" -eq 0 ] || { echo $((failures - 1)) >'${this.root}/failures'; echo "${aptSays}"; exit 100; }`);
        this.command('sleep', `echo "sleep $*" >>'${this.callsPath}'`);
        // As the real one: who is no package's script is sent away.
        this.command('deb-systemd-helper', `[ -n "$DPKG_MAINTSCRIPT_PACKAGE" ] && echo "deb-systemd-helper $*" >>'${this.callsPath}'`);
        this.command('npm', `
            echo "npm $*" >>'${this.callsPath}'
            read -r failures <'${this.root}/npm-failures'
            [ "$failures" -eq 0 ] || { echo $((failures - 1)) >'${this.root}/npm-failures'; echo 'npm error code EAI_AGAIN' >&2; exit 1; }
            mkdir -p node_modules`);
        if (sudo) this.command('sudo', `echo "sudo $1" >>'${this.callsPath}'; exec "$@"`);
        if (node) this.command('node', 'exit 0');
    }

    command(name, script) {
        const path = join(this.bin, name);
        writeFileSync(path, `#!/bin/bash\nPATH=/usr/bin:/bin\n${name === 'env' || name === 'sudo' ? `PATH=${this.bin}` : ''}\n${script}\n`);
        chmodSync(path, 0o755);
    }

    run(mode) {
        const result = spawnSync('/bin/bash', [join(this.root, 'tools/install-packages.sh'), mode], {
            encoding: 'utf8',
            env: { PATH: this.bin, MMORTS_POLICY_RC: this.policy },
        });
        const calls = existsSync(this.callsPath) ? readFileSync(this.callsPath, 'utf8').trim().split('\n') : [];
        return { ...result, calls };
    }
}

// All packages of a mode, as the script asks for them on an empty machine.
function allOf(mode) {
    const { calls } = new Machine().run(mode);
    return calls[0].match(/--no-install-recommends (.*) \[/)[1].split(' ');
}

test('an empty machine gets what its mode needs, without services started', () => {
    const machine = new Machine();
    const { status, calls, stderr } = machine.run('play');
    assert.equal(status, 0, stderr);
    assert.match(calls[0], /^apt-get -qq -y .*install --no-install-recommends /);
    assert.match(calls[0], /\[101\] noninteractive$/);
    for (const name of [...BUILD, 'redis-server', 'mariadb-server-core']) assert.ok(calls[0].includes(` ${name}`), name);
    assert.ok(!calls[0].includes('chromium'));
    assert.deepEqual(calls.slice(1), ['deb-systemd-helper disable redis-server.service']);
    assert.ok(!existsSync(machine.policy));
});

test('modes contain one another', () => {
    const [build, play, all] = ['build', 'play', 'test'].map(allOf);
    assert.ok(build.length < play.length && play.length < all.length);
    assert.ok(build.every((name) => play.includes(name)));
    assert.ok(play.every((name) => all.includes(name)));
    for (const name of ['chromium', 'cppcheck', 'libcriterion-dev']) assert.ok(all.includes(name), name);
});

test('only what is missing is installed', () => {
    const installed = allOf('play').filter((name) => name !== 'libnng-dev');
    const { calls } = new Machine({ installed: installed.join('\n') }).run('play');
    assert.equal(calls.length, 1);
    assert.match(calls[0], /--no-install-recommends libnng-dev \[101\]/);
});

test('nothing is asked of anybody when all is there', () => {
    const machine = new Machine({ installed: allOf('test').join('\n') });
    assert.deepEqual(machine.run('test').calls, ['npm install --loglevel=error --no-progress']);
    const second = machine.run('test');
    assert.equal(second.calls.length, 1);
    assert.equal(second.stdout + second.stderr, '');
    writeFileSync(join(machine.root, 'tests/package.json'), '{"dependencies":{"ws":"1.2.3"}}');
    assert.equal(machine.run('test').calls.length, 2);
});

test('Node.js comes from Debian only if there is none', () => {
    assert.ok(!allOf('test').includes('nodejs'));
    const { calls } = new Machine({ node: false }).run('test');
    assert.match(calls[0], / nodejs /);
});

test('package lists are renewed only after a failure', () => {
    const machine = new Machine({ aptFails: 1 });
    const { status, calls } = machine.run('build');
    assert.equal(status, 0);
    assert.deepEqual(calls.map((call) => / (install|update) /.exec(call)[1]), ['install', 'update', 'install']);
});

test('who serves the packages may be away for a while', () => {
    const words = (calls) => calls.map((call) => /^sleep|^npm| (install|update) /.exec(call)).map(([all, word]) => word ?? all);
    const away = { installed: allOf('build').slice(1).join('\n'), aptSays: 'E: Failed to fetch http://x/y.deb  503 Service Unavailable' };
    const briefly = new Machine({ ...away, aptFails: 3 }).run('build');
    assert.equal(briefly.status, 0, briefly.stderr);
    assert.deepEqual(words(briefly.calls), ['install', 'update', 'install', 'sleep', 'update', 'install', 'sleep', 'update', 'install']);
    const forEver = new Machine({ ...away, aptFails: 99 }).run('build');
    assert.equal(forEver.status, 1);
    assert.equal(words(forEver.calls).filter((word) => word === 'sleep').length, 3);
    assert.match(forEver.stderr, /503[^]*apt-get could not install: /);

    const installed = allOf('test').join('\n');
    const npm = new Machine({ installed, npmFails: 2 });
    assert.equal(npm.run('test').status, 0);
    assert.deepEqual(words(npm.run('test').calls), ['npm', 'sleep', 'npm', 'sleep', 'npm']);
    const npmForEver = new Machine({ installed, npmFails: 99 });
    const { status, stderr } = npmForEver.run('test');
    assert.equal(status, 1);
    assert.match(stderr, /EAI_AGAIN/);
    assert.equal(npmForEver.run('test').status, 1, 'what is not installed is not taken for it');
});

test('a failure is told, and the policy put back as it was', () => {
    const machine = new Machine({ aptFails: 2 });
    writeFileSync(machine.policy, '#!/bin/sh\nexit 104\n');
    const { status, calls, stderr } = machine.run('build');
    assert.equal(status, 1);
    assert.match(calls[0], /\[101\]/);
    assert.match(stderr, /Unable to locate[^]*apt-get could not install: /);
    assert.equal(readFileSync(machine.policy, 'utf8'), '#!/bin/sh\nexit 104\n');
});

test('a user without root rights goes through sudo, or is told what to install', () => {
    const withSudo = new Machine({ uid: 1000 }).run('build');
    assert.equal(withSudo.status, 0, withSudo.stderr);
    assert.ok(withSudo.calls.includes('sudo env'));
    const without = new Machine({ uid: 1000, sudo: false }).run('build');
    assert.equal(without.status, 1);
    assert.match(without.stderr, /please install, as root: .*libnng-dev/);
    assert.deepEqual(without.calls, []);
});
