// What the documentation names is there, and what there is, is named: settings, environment
// variables, metrics, calls, files, links and make targets are compared with the programs, the
// contracts and the tree. Every name in `code` of a page is looked at.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { SERVICES } from '../support/game.mjs';
import { BUILD, PATIENCE_MS, ROOT, freePort, servicesEnv, startMariadb, startProgram, startRedis, tempDir, waitFor } from '../support/servers.mjs';

const read = (path) => readFileSync(join(ROOT, path), 'utf8');
const list = (...args) => execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...args], { cwd: ROOT, encoding: 'utf8' })
    .split('\n').filter((path) => path && statSync(join(ROOT, path), { throwIfNoEntry: false })?.isFile());

const PAGES = list('*.md');
const FILES = list();
const NAMES = new Set(FILES.flatMap((path) => path.split('/').map((_, i, parts) => parts.slice(i).join('/'))));
const FOLDERS = new Set(FILES.map((path) => dirname(path)));

// The pages' `spans` and the lines of their fenced blocks, each with where it stands.
function codes() {
    const found = [];
    for (const page of PAGES) {
        const service = /^services\/(\w+)\//.exec(page)?.[1];
        let fenced = false;
        read(page).split('\n').forEach((line, i) => {
            if (line.startsWith('```')) fenced = !fenced;
            const place = { page, service, where: `${page}:${i + 1}`, fenced };
            if (fenced) found.push({ ...place, text: line });
            else for (const [, text] of line.matchAll(/`([^`]+)`/g)) found.push({ ...place, text });
        });
    }
    return found;
}
const CODES = codes();
const spans = () => CODES.filter(({ fenced }) => !fenced);

const nothing = (wrong, what) => assert.deepEqual([...new Set(wrong)].sort(), [], what);

// Settings: name -> of which services, from what --help tells.
const settings = new Map();
for (const service of SERVICES) {
    const help = execFileSync(join(BUILD, `bin/mmorts-${service}`), ['--help'], { encoding: 'utf8' });
    for (const [, key] of help.split('Settings:\n')[1].matchAll(/^ {2}([a-z][\w.]*) +\S/gm))
        settings.set(key, [...(settings.get(key) ?? []), service]);
}

// The keys with values of a YAML file of ours, in which maps are indented by two.
function yamlKeys(text) {
    const above = [], keys = [];
    for (const line of text.split('\n')) {
        const [, indent, key, value] = /^( *)(?:- )?([\w-]+):(.*)$/.exec(line.replace(/(^|\s)#.*$/, '')) ?? [];
        if (key === undefined) continue;
        above.splice(indent.length / 2, Infinity, key);
        if (value.trim()) keys.push(above.join('.'));
    }
    return keys;
}

const yaml = (service) => read(`services/${service}/${service}.yaml`);

test("each service's file holds every setting that the service has, and no other", () => {
    for (const service of SERVICES) {
        const known = [...settings].filter(([, of]) => of.includes(service)).map(([key]) => key);
        assert.deepEqual(yamlKeys(yaml(service)).sort(), known.sort(), service);
    }
});

test("each service's file holds the defaults", () => {
    const withoutEnvironment = { PATH: process.env.PATH };
    for (const service of SERVICES) {
        // Beside the files that the settings name.
        const folder = join(ROOT, 'services', service), directory = tempDir();
        for (const name of readdirSync(folder)) symlinkSync(join(folder, name), join(directory, name));
        writeFileSync(join(directory, 'empty.yaml'), 'session: main\n');
        const inForce = (name) => execFileSync(join(BUILD, `bin/mmorts-${service}`), ['--config', join(directory, name), '--print-config'],
            { encoding: 'utf8', env: withoutEnvironment })
            .split('\n').filter((line) => !/^ *pool_size:/.test(line)); // what the service has use for
        assert.deepEqual(inForce(`${service}.yaml`), inForce('empty.yaml'), service);
    }
});

test('settings that are named exist', () => {
    const sections = new Set([...settings.keys()].filter((key) => key.includes('.')).map((key) => key.split('.')[0]));
    // Those of the game's data, which world reads beside its settings.
    const data = ['types', 'map'].flatMap((name) => yamlKeys(read(`services/world/game/${name}.yaml`)));
    const isKnown = (key) => settings.has(key) || data.includes(key) ||
        [...settings.keys(), ...data].some((known) => known.startsWith(`${key}.`));
    nothing(spans().flatMap(({ text, where, page }) => {
        // There such names are figures of the benchmarks.
        if (page === 'docs/performance.md') return [];
        const [, key] = /^([a-z_]+\.[a-z_.]+)(?:: .*)?$/.exec(text) ?? [];
        if (!key || !sections.has(key.split('.')[0]) || NAMES.has(key) || /\.(md|yaml|ts)$/.test(key)) return [];
        return isKnown(key) ? [] : [`${where} ${key}`];
    }), 'no such setting');
});

// All that the services' files take from the environment.
const variables = () => new Set(FILES.filter((path) => /^services\/.*\.yaml$/.test(path))
    .flatMap((path) => [...read(path).matchAll(/\$\{(MMORTS_\w+)/g)].map(([, name]) => name)));

test('environment variables that are named are read, and those that are read are named', () => {
    const inFiles = variables();
    const known = new Set(inFiles);
    for (const path of FILES.filter((name) => /^(tests|tools|compose|libcommon)\/|Makefile$/.test(name) && !/\.(md|png|gz)$/.test(name)))
        for (const [name] of read(path).matchAll(/MMORTS_[A-Z_]+[A-Z]/g)) known.add(name);
    const named = new Set();
    let stem = '';
    const wrong = [];
    for (const { text, where } of CODES)
        for (const [name] of text.matchAll(/MMORTS_[A-Z_]*(?:<SERVICE>)?[A-Z_]*[A-Z]|^_[A-Z_]+$/g)) {
            // `MMORTS_DB_HOST`, `_PORT`: the stem is that of the one before.
            const full = name.startsWith('_') ? stem + name : name;
            if (!name.startsWith('_')) stem = name.slice(0, name.lastIndexOf('_'));
            const meant = full.includes('<SERVICE>')
                ? SERVICES.map((service) => full.replace('<SERVICE>', service.toUpperCase())).filter((one) => inFiles.has(one)) : [full];
            meant.forEach((one) => named.add(one));
            if (meant.length === 0 || !meant.every((one) => known.has(one))) wrong.push(`${where} ${full}`);
        }
    nothing(wrong, 'nobody reads this variable');
    nothing([...inFiles].filter((name) => !named.has(name)), 'no page names this variable');
});

test('compose/ passes on every variable that is not of its own making', () => {
    const compose = read('compose/docker-compose.yml'), example = read('compose/env.example');
    // The images have these themselves; certificates are files, so they take a mount as well.
    const own = /_(HTTP|LISTEN|REUSE_PORT|CERTIFICATE|KEY|TLS_CA|CERT_KEY)$/;
    nothing([...variables()].filter((name) => !own.test(name) && !new RegExp(`^ +${name}:`, 'm').test(compose)), 'not in docker-compose.yml');
    nothing([...compose.matchAll(/\$\{(\w+)/g)].map(([, name]) => name).filter((name) => !new RegExp(`^#? ?${name}=`, 'm').test(example)),
        'not in env.example');
    nothing([...example.matchAll(/^#? ?(\w+)=/gm)].map(([, name]) => name).filter((name) => !compose.includes(`\${${name}`)),
        'in env.example alone');
});

test('calls that are named are in the contracts', () => {
    const calls = new Map();
    for (const path of FILES.filter((name) => /^proto\/.*\.proto$/.test(name)))
        for (const [, service, body] of read(path).matchAll(/^service (\w+) \{([^]*?)^\}/gm))
            calls.set(service, [...body.matchAll(/\brpc (\w+)/g)].map(([, method]) => method));
    assert.ok(calls.get('World')?.includes('Join'), 'the contracts are understood');
    nothing(CODES.flatMap(({ text, where }) => [...text.matchAll(/\b([A-Z]\w+)[./]([A-Z]\w+)\b/g)]
        .filter(([, service, method]) => calls.has(service) && !calls.get(service).includes(method))
        .map(([call]) => `${where} ${call}`)), 'no such call');
});

test('files, folders and links that are named exist', () => {
    const wrong = [];
    for (const { text, where, page, service } of spans()) {
        // Something with a folder or an ending of ours; not what a program makes, nor a pattern.
        if (!/^[\w./-]+$/.test(text) || !/(\.(c|h|mjs|js|ts|proto|yaml|yml|sql|sh|md)|\/)$|^(docs|services|libcommon|tests|tools|proto|compose)\//.test(text)) continue;
        const bare = text.replace(/\/$/, '');
        if (/\bNAME|_NAME|\bX\b|^\./.test(bare)) continue;
        const from = [dirname(page), '.', ...(service ? [`services/${service}`, `services/${service}/core`] : [])];
        const isThere = from.some((folder) => existsSync(join(ROOT, folder, bare))) || NAMES.has(bare) ||
            [...FOLDERS].some((folder) => folder.endsWith(`/${bare}`));
        if (!isThere && !text.startsWith('/') && !isMade(text)) wrong.push(`${where} ${text}`);
    }
    for (const page of PAGES)
        for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
            if (/^https?:/.test(target)) continue;
            const [path, anchor] = target.split('#');
            const file = path ? resolve(ROOT, dirname(page), path) : join(ROOT, page);
            if (!existsSync(file)) wrong.push(`${page} links to ${target}`);
            else if (anchor && !anchors(relative(ROOT, file)).includes(anchor)) wrong.push(`${page} links to ${target}: no such heading`);
        }
    nothing(wrong, 'no such file');
});

// As the usual viewers make them from headings.
const anchors = (page) => [...read(page).matchAll(/^#+ (.*)$/gm)]
    .map(([, heading]) => heading.toLowerCase().replace(/[^\w\- ]/g, '').replace(/ /g, '-'));

// Below these, names are of what is built, or of what runs keep.
const isMade = (path) => /^(build|gen|\.play|run|log|mariadb|redis|login)\//.test(path);

test('make targets that are named exist', () => {
    const makefile = read('Makefile');
    const targets = new Set([...makefile.matchAll(/^([\w-]+):/gm)].map(([, name]) => name));
    readdirSync(join(ROOT, 'tests/bench')).forEach((name) => targets.add(`bench-${/^bench_(\w+)\.c$/.exec(name)?.[1]}`));
    nothing(CODES.flatMap(({ text, where }) => [...text.matchAll(/(?:^|&& )make ([a-z][\w-]*)/g)]
        .filter(([, target]) => !targets.has(target) && target !== 'bench-NAME')
        .map(([, target]) => `${where} make ${target}`)), 'no such target');
});

// --- metrics -------------------------------------------------------------------------------------

const exported = new Map(); // name -> of which services
const started = [];

before(async () => {
    const directory = tempDir();
    const mariadb = await startMariadb(), redis = await startRedis();
    started.push(mariadb, redis);
    const env = {
        ...await servicesEnv(SERVICES, { mariadb, redis, directory }),
        MMORTS_LOGIN_URL: `http://127.0.0.1:${await freePort()}`,
        MMORTS_SYNC_LISTEN: `127.0.0.1:${await freePort()}`,
    };
    for (const service of SERVICES)
        started.unshift(startProgram(`mmorts-${service}`, ['--config', join(ROOT, `services/${service}/${service}.yaml`)], { env }));
    for (const service of SERVICES) {
        // A service's own are there when it has reached its database, those of calls after the first: we call world,
        // and vision does.
        const url = `http://${env[`MMORTS_${service.toUpperCase()}_HTTP`]}/metrics`;
        const text = await waitFor(`metrics of ${service}`, PATIENCE_MS, async () => {
            const answer = await fetch(url).then((reply) => reply.text(), () => '');
            if (service === 'world' && !answer.includes('mmorts_rpc_served_'))
                await fetch(new URL('/rpc/World/ListSessions', url), { method: 'POST', body: '{}' });
            const calls = { world: 'mmorts_rpc_served_', vision: 'mmorts_rpc_called_' }[service] ?? '';
            return answer.includes(`# TYPE mmorts_${service}_`) && answer.includes(calls) && answer;
        });
        for (const [, name] of text.matchAll(/^# TYPE (\w+)/gm))
            exported.set(name, [...(exported.get(name) ?? []), service]);
    }
});

after(async () => {
    for (const program of started) await program.stop();
});

test("metrics that are named are exported, and each service's page names all of its own", () => {
    const named = new Set(), wrong = [];
    for (const { text, where, service } of CODES)
        for (const [, word] of text.matchAll(/(?<![\w/])(mmorts_[a-z_*]+|_[a-z][a-z_*]+)(?![\w/.:-])/g)) {
            if (word.startsWith('_') && (!service || text.replace(/\{.*/, '') !== word)) continue;
            const full = word.startsWith('_') ? `mmorts_${service}${word}` : word;
            // Databases and modules are called so as well.
            if (SERVICES.some((name) => full === `mmorts_${name}`) || /_$/.test(full)) continue;
            const pattern = new RegExp(`^${full.replaceAll('*', '\\w+')}$`);
            const meant = [...exported.keys()].filter((name) => pattern.test(name) || pattern.test(`${name}_bucket`));
            meant.forEach((name) => named.add(name));
            if (meant.length === 0) wrong.push(`${where} ${full}`);
        }
    nothing(wrong, 'no process exports this');
    nothing([...exported.keys()].filter((name) => /^mmorts_(auth|world|vision|sync|production|social)_/.test(name) && !named.has(name)),
        'no page names this metric');
});
