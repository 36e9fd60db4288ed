// Mail and private chat as players have them: over two instances of sync, through the SDK, with the
// real services behind them. A third player, who is shown everything that it is sent, must never be
// sent a byte of it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { launchBrowser, openGame, toasted } from '../support/browser.mjs';
import { Game, patience, settings } from '../support/game.mjs';
import { PATIENCE_MS, pause, waitFor } from '../support/servers.mjs';

const clients = [];
let game, other, browser, ada, bob, bobToo, eve;

// On the launcher's sync (0) or the one beside it (1).
async function enter(username, instance, encoding = 'binary') {
    const url = instance ? other.socketUrl : game.socketUrl;
    const client = new GameClient({ url, token: () => game.token(username), WebSocket, encoding, commandTimeoutMs: PATIENCE_MS });
    Object.assign(client, { lines: [], mails: [], errors: [], boxes: [] });
    client.on('chat', (line) => client.lines.push(line));
    client.on('mailbox', (box) => client.boxes.push(box));
    client.onMail((mail) => client.mails.push(mail));
    client.on('error', (error) => client.errors.push(error));
    clients.push(client);
    await client.connect();
    return client;
}

const settles = waitFor;
const refused = (promise, code) => assert.rejects(promise, { code });
const secrets = (player, word) => player.messages.filter((m) => JSON.stringify(m).includes(word));

before(async () => {
    const services = settings({ sync: patience });
    game = await Game.start({ services, env: { MMORTS_SOCIAL_MAIL_MESSAGES: '1000', MMORTS_SOCIAL_MAIL_BOX: '15' } });
    other = await game.startSync({ MMORTS_SYNC_CONNECTIONS: 'allow' }, services);
    ada = await enter('ada', 0, 'json');
    bob = await enter('bob', 1);
    bobToo = await enter('bob', 1, 'json');
    eve = await game.join('eve', { url: other.socketUrl });
    await settles('a roster of three', () => [ada, bob].every((c) => c.players.size === 3));
    await game.knowsName('bob');
});

after(async () => {
    for (const client of clients) client.close();
    eve?.close();
    await browser?.close();
    await other?.program.stop();
    await game?.stop();
});

test('a private message: to all connections of two players, on whatever instance, once', { timeout: 300000 }, async () => {
    assert.ok(ada.whisper(bob.playerId, 'psst whispered'));
    await settles('the line everywhere', () => [ada, bob, bobToo].every((c) => c.lines.length > 0));
    assert.ok(bobToo.whisper(ada.playerId, 'psst back'));
    await settles('the answer everywhere', () => [ada, bob, bobToo].every((c) => c.lines.length > 1));
    ada.chat('for all');
    await settles('the last line', () => [ada, bob, bobToo].every((c) => c.lines.at(-1).message === 'for all'));
    for (const { lines } of [ada, bob, bobToo])
        assert.deepEqual(lines.map((l) => [l.player_id, l.message, l.to]), [
            [ada.playerId, 'psst whispered', bob.playerId], [bob.playerId, 'psst back', ada.playerId], [ada.playerId, 'for all', undefined]]);
    await eve.waitFor('chat', (m) => m.payload.message === 'for all');
    assert.deepEqual(secrets(eve, 'psst'), []);
    ada.whisper('999999', 'psst nobody');
    await settles('a refusal', () => ada.errors.some((e) => e.code === 'not_online'));
    assert.deepEqual(secrets(eve, 'psst'), []);
});

test('mail comes at once to who is online, everywhere, and to nobody else', { timeout: 300000 }, async () => {
    assert.deepEqual(await ada.sendMail({ name: 'BOB' }, { subject: 'hush one', body: 'hush\nline two' }), { delivered: 1, full: 0 });
    await settles('the mail everywhere', () => [bob, bobToo].every((c) => c.mails.length === 1 && c.mailbox.unread === 1));
    const [head] = bob.mails;
    assert.deepEqual([head.id, head.from.username, head.subject, head.read, head.group], [1, 'ada', 'hush one', false, undefined]);
    assert.deepEqual(await bob.inbox(), { mails: [head], more: false });
    const mail = await bob.readMail(head.id);
    assert.deepEqual(mail, { ...head, read: true, body: 'hush\nline two' });
    await settles('nothing unread, everywhere', () => [bob, bobToo].every((c) => c.mailbox.unread === 0 && c.mailbox.total === 1));
    await refused(ada.readMail(head.id), 'unknown_mail');
    await bobToo.deleteMail([head.id]);
    await settles('no mail, everywhere', () => [bob, bobToo].every((c) => c.mailbox.total === 0));
    await refused(bob.readMail(head.id), 'unknown_mail');
    await pause(300);
    assert.deepEqual([bob.mails.length, bobToo.mails.length, ada.mails.length], [1, 1, 0], 'each heard of it once');
    assert.deepEqual(secrets(eve, 'hush'), []);
    assert.deepEqual(eve.messages.filter((m) => m.type.startsWith('mail') && m.type !== 'mailbox'), []);
});

test('mail to an alliance: to all its other members at once', { timeout: 300000 }, async () => {
    await ada.group('create', { name: 'The Lot', policy: 'open' });
    await settles('the group', () => ada.groups.length === 1);
    const { id } = ada.groups[0];
    await refused(bob.sendMail({ group: id }, { subject: 's', body: 'b' }), 'not_member');
    await bob.group('join', { group: id });
    await settles('two members', () => ada.groups[0].members.length === 2);
    assert.deepEqual(await ada.sendMail({ group: id }, { subject: 'hush all', body: 'of us' }), { delivered: 1, full: 0 });
    await settles('the mail', () => bob.mails.length === 2);
    assert.deepEqual(bob.mails[1].group, { id, name: 'The Lot' });
    assert.equal(ada.mails.length, 0);
    assert.deepEqual(secrets(eve, 'hush'), []);
    await bob.deleteMail([bob.mails[1].id]);
});

test('who was away finds it at the next join, page by page', { timeout: 300000 }, async () => {
    const gone = await enter('gil', 1), isHere = () => [...ada.players.values()].includes('gil');
    await settles('gil online', isHere);
    await game.knowsName('gil');
    gone.close();
    await settles('nobody of that name online', () => !isHere());
    for (let i = 1; i <= 5; i++) await ada.sendMail({ name: 'gil' }, { subject: `number ${i}`, body: 'x'.repeat(1000) });
    const gil = await enter('gil', 0);
    await settles('what is unread', () => gil.mailbox.unread === 5 && gil.boxes.length > 0);
    const first = await gil.inbox({ limit: 3 });
    assert.deepEqual([first.mails.map((m) => m.subject), first.more], [['number 5', 'number 4', 'number 3'], true]);
    const rest = await gil.inbox({ limit: 3, before: first.mails.at(-1).id });
    assert.deepEqual([rest.mails.map((m) => m.subject), rest.more], [['number 2', 'number 1'], false]);
    assert.equal((await gil.readMail(rest.mails[1].id)).body.length, 1000);
    gil.close();
});

test('what is wrong is refused with a word, and changes nothing', { timeout: 300000 }, async () => {
    const fay = await game.join('fay');
    const text = { subject: 's', body: 'b' };
    const bad = [
        [{}, 'invalid'], [{ action: 'fly' }, 'invalid'], [{ action: 'send', ...text }, 'invalid'],
        [{ action: 'send', to: 7, ...text }, 'invalid'], [{ action: 'send', to: '0', ...text }, 'invalid'],
        [{ action: 'send', to: '7', to_name: 'bob', ...text }, 'invalid'], [{ action: 'send', to_name: '', ...text }, 'invalid'],
        [{ action: 'send', to_name: 'bob', subject: 's' }, 'invalid'], [{ action: 'send', to_name: 'bob', body: 'b' }, 'invalid'],
        [{ action: 'send', to_name: 'bob', subject: ['s'], body: 'b' }, 'invalid'],
        [{ action: 'send', to_name: 'bob', subject: ' ', body: 'b' }, 'mail_empty'], [{ action: 'send', to_name: 'bob', subject: 's', body: '\n' }, 'mail_empty'],
        [{ action: 'send', to_name: 'bob', subject: 's'.repeat(81), body: 'b' }, 'mail_too_long'],
        [{ action: 'send', to_name: 'bob', subject: 's', body: 'b'.repeat(1001) }, 'mail_too_long'],
        [{ action: 'send', to_name: 'bob', subject: 's'.repeat(400), body: 'b' }, 'mail_too_long'],
        [{ action: 'send', to_name: 'bob', subject: 's', body: 'a\u001b[2J' }, 'mail_invalid'],
        [{ action: 'send', to_name: 'bob', subject: 's\0', body: 'b' }, 'mail_invalid'],
        [{ action: 'send', to_name: 'nobody', ...text }, 'unknown_recipient'], [{ action: 'send', to: '18446744073709551615', ...text }, 'unknown_recipient'],
        [{ action: 'send_group', ...text }, 'invalid'], [{ action: 'send_group', group: 'group_0000000000001', ...text }, 'not_member'],
        [{ action: 'list', before: 0 }, 'invalid'], [{ action: 'list', limit: 51 }, 'invalid'], [{ action: 'list', limit: '5' }, 'invalid'],
        [{ action: 'read' }, 'invalid'], [{ action: 'read', mail: -1 }, 'invalid'], [{ action: 'read', mail: 999 }, 'unknown_mail'],
        [{ action: 'delete' }, 'invalid'], [{ action: 'delete', mails: [] }, 'invalid'], [{ action: 'delete', mails: [1.5] }, 'invalid'],
        [{ action: 'delete', mails: Array(51).fill(1) }, 'invalid'],
    ];
    for (const [fields, code] of bad) {
        await pause(210); // within the rate of commands
        const answer = await fay.command('mail', fields);
        assert.deepEqual([answer.type, answer.payload.code], ['error', code], JSON.stringify(fields));
    }
    for (const to of [7, '', 'ada', null, { id: 1 }]) fay.send({ type: 'chat', payload: { message: 'x', to } });
    fay.send({ type: 'chat', payload: { message: 'x', to: '7', group: 'group_0000000000001' } });
    await fay.until('six refusals', () => fay.messages.filter((m) => m.type === 'error' && !m.payload.seq && m.payload.code === 'invalid').length === 6);
    // Past sync nobody writes in another's name, or looks into another's mailbox.
    const token = await game.token('fay');
    const from = { playerId: ada.playerId, username: 'ada' };
    for (const [method, request] of [['SendMail', { from, requestId: '1', toName: 'bob', ...text }], ['SendGroupMail', { from, requestId: '1', toGroup: '1', ...text }],
        ['GetInbox', { playerId: bob.playerId, limit: 5 }], ['ReadMail', { playerId: bob.playerId, number: '1' }], ['DeleteMail', { playerId: bob.playerId, numbers: ['1'] }]]) {
        assert.equal((await game.call('social', method, { session: 'main', ...request }, token)).status, 403, method);
        assert.equal((await game.call('social', method, { session: 'main', ...request })).status, 401, method);
    }
    assert.equal((await game.query('social', `SELECT COUNT(*) FROM mails WHERE from_player = ${fay.welcome.player_id}`))[0][0], '0');
    fay.close();
});

test('social killed while mail is sent: each is there once, and told once to every connection', { timeout: 300000 }, async () => {
    const heard = bob.mails.length, heardToo = bobToo.mails.length;
    const sent = [];
    for (let i = 0; i < 12; i++) {
        const subject = `killed ${i}`;
        if (i === 3 || i === 8) await game.kill('social');
        // The SDK sends a command again after a reconnect only; what was not decided is said again by hand, under the same number.
        const seq = 2 ** 45 + i;
        const raw = async () => {
            const off = [];
            const answer = new Promise((resolve) => {
                off.push(ada.connection.on('message', (m) => (m.type === 'ack' || m.type === 'error') && m.payload.seq === seq && resolve(m)));
            });
            ada.connection.send({ type: 'command', payload: { seq, command: 'mail', action: 'send', to: bob.playerId, subject, body: 'b' } });
            const message = await answer;
            for (const each of off) each();
            return message;
        };
        let answer;
        await waitFor(`an answer about ${subject}`, async () => {
            answer = await raw();
            if (answer.type !== 'ack') assert.ok(['unavailable', 'timeout', 'rate_limited'].includes(answer.payload.code), answer.payload.code);
            return answer.type === 'ack' || pause(150);
        });
        sent.push(subject);
    }
    await settles('all of it', () => bob.mails.length >= heard + sent.length && bobToo.mails.length >= heardToo + sent.length);
    await pause(4000); // what the outbox published again would have come
    for (const client of [bob, bobToo])
        assert.deepEqual(client.mails.slice(-sent.length).map((m) => m.subject).sort(), [...sent].sort());
    const rows = await game.query('social', 'SELECT subject, COUNT(*) FROM mails WHERE subject LIKE \'killed%\' GROUP BY subject');
    assert.deepEqual(rows.map(([subject, count]) => [subject, String(count)]).sort(), sent.map((s) => [s, '1']).sort());
});

test('a full mailbox refuses, until something was read', { timeout: 300000 }, async () => {
    await bob.inbox({ limit: 1 }); // what was told of mail that was sent again may be older
    for (let i = bob.mailbox.total; i < 15; i++) {
        await pause(210);
        await ada.sendMail({ player: bob.playerId }, { subject: 'more', body: 'more' });
    }
    await settles('fifteen', () => bob.mailbox.total === 15);
    await refused(ada.sendMail({ player: bob.playerId }, { subject: 'more', body: 'more' }), 'mailbox_full');
    await bob.readMail(bob.mails.at(-1).id);
    await ada.sendMail({ player: bob.playerId }, { subject: 'one more', body: 'more' });
    await settles('the one', () => bob.mails.at(-1).subject === 'one more');
    await settles('the counts', () => bob.mailbox.total === 15 && bob.mailbox.unread === 15);
});

test('in the browser: written, heard of, read, answered and deleted; said to one alone', { timeout: 300000 }, async () => {
    browser = await launchBrowser();
    const faults = [];
    const open = (name) => openGame(browser, game.url, name, faults);
    const shows = (page, selector, text) => page.waitForFunction(([s, t]) => document.querySelector(s)?.textContent.includes(t), [selector, text]);
    const hal = await open('hal'), ida = await open('ida');
    await hal.waitForFunction(() => [...window.mmorts.game.players.values()].includes('ida'));
    await hal.click('#mail-toggle');
    await shows(hal, '#mail', 'No mail.');
    await hal.click('#mail h2 button.primary');
    await hal.fill('#mail [name=to]', 'nobody at all');
    await hal.fill('#mail [name=subject]', '<b>Truce?</b>');
    await hal.fill('#mail textarea', 'wasd: the map must stand still\nsecond <i>line</i>');
    await hal.click('#mail [name=send]');
    await toasted(hal, 'nobody of that name');
    await hal.fill('#mail [name=to]', 'Ida');
    await game.knowsName('ida');
    await hal.click('#mail [name=send]');
    await toasted(hal, 'Sent.');
    await shows(ida, '#mail-unread', '1');
    await toasted(ida, 'Mail from hal: <b>Truce?</b>');
    // The list that is asked for comes when the test lets it.
    const holdList = () => ida.evaluate(() => {
        const { game } = window.mmorts;
        const inbox = game.inbox.bind(game);
        window.letListCome = null;
        game.inbox = async (options) => {
            delete game.inbox;
            const page = await inbox(options);
            await new Promise((resolve) => { window.letListCome = resolve; });
            return page;
        };
    });
    const letListCome = async () => {
        await ida.waitForFunction(() => window.letListCome !== null);
        await ida.evaluate(() => window.letListCome());
    };
    await holdList();
    await ida.keyboard.press('m');
    await ida.hover('#mail .head.unread');
    await ida.mouse.down();
    await letListCome(); // while the button is pressed: it stays the same one
    await ida.mouse.up();
    await shows(ida, '#mail .text', 'second <i>line</i>');
    await holdList();
    await ida.click('#mail h2 button.icon');
    await ida.click('#mail .head');
    await shows(ida, '#mail .text', 'second <i>line</i>');
    await letListCome(); // behind the mail that was opened meanwhile, whose place it does not take
    await shows(ida, '#mail .text', 'second <i>line</i>');
    await ida.waitForFunction(() => document.querySelector('#mail-unread').hidden);
    await ida.click('#mail .foot button.primary');
    assert.deepEqual(await ida.evaluate(() => ['to', 'subject'].map((name) => document.querySelector(`#mail [name=${name}]`).value)), ['hal', 'Re: <b>Truce?</b>']);
    await ida.fill('#mail textarea', 'Until noon.');
    await ida.click('#mail [name=send]');
    await shows(hal, '#mail .head.unread', 'Re: ');
    await ida.click('#mail .head');
    await ida.click('#mail .foot button.danger');
    await shows(ida, '#mail', 'No mail.');
    // Opened, the alliance's panel takes the place.
    await ida.click('#alliance-toggle');
    assert.ok(await ida.evaluate(() => document.querySelector('#mail').hidden));

    await hal.fill('#chat-input', '/w IDA psst, ida');
    await hal.press('#chat-input', 'Enter');
    await shows(ida, '#chat-log .whisper', 'from hal: psst, ida');
    await shows(hal, '#chat-log .own.whisper', 'to ida: psst, ida');
    await ida.fill('#chat-input', '/r psst, hal');
    await ida.press('#chat-input', 'Enter');
    await shows(hal, '#chat-log li.whisper:not(.own)', 'from ida: psst, hal');
    await hal.fill('#chat-input', '/w nobody words');
    await hal.press('#chat-input', 'Enter');
    await toasted(hal, 'Nobody of that name is online.');
    assert.equal(await hal.inputValue('#chat-input'), '/w nobody words', 'what was not said is kept');
    await hal.click('#chat-log li.whisper:not(.own) b');
    assert.equal(await hal.inputValue('#chat-input'), '/w ida ');
    await hal.hover('#roster li:has-text("ida")');
    await hal.click('#roster li:has-text("ida") .round[title^=Write]');
    assert.equal(await hal.inputValue('#mail [name=to]'), 'ida');
    assert.deepEqual(secrets(eve, 'psst, '), []);
    assert.deepEqual(faults, []);
});
