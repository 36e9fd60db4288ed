// A client that takes nothing in for a while: what it could not be told is counted, and what of it still matters is told
// again when it reads.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { Game, settings } from '../support/game.mjs';
import { waitFor } from '../support/servers.mjs';

const TOGETHER = 50; // announcements made at once
const TALK = new Set(['announcement', 'player_joined', 'player_left', 'players']);

// Little room in the sockets, and nobody is cut off for being slow.
const patient = () => settings({
    sync: (text) => [['send_buffer: 131072', 'send_buffer: 4096'], ['send_waiting: 65536', 'send_waiting: 4096'],
        ['behind: 30s', 'behind: 600s'], ['idle: 45s', 'idle: 600s']].reduce((all, [from, to]) => all.replace(from, to), text),
});

test('what a slow client is not told is counted, and who is online told again', { timeout: 600000 }, async () => {
    const game = await Game.start({ services: patient(), test: true });
    try {
        const operator = await game.token('operator', { permissions: 512 | 256 });
        const announce = async (message) => assert.equal((await game.call('social', 'Announce', { session: 'main', message }, operator)).status, 200);
        const witness = await game.join('witness'), slow = await game.join('slow', { compression: false });
        const is = (message) => (m) => m.type === 'announcement' && m.payload.message === message;
        const hears = (player, message) => player.waitFor('announcement', is(message));
        // What comes of its own coming is behind it.
        await witness.hears('joined', slow.welcome.player_id);
        for (const type of ['groups', 'mailbox']) await slow.waitFor(type);
        await announce('begin');
        await Promise.all([witness, slow].map((player) => hears(player, 'begin')));
        const from = new Map([witness, slow].map((player) => [player, player.messages.findIndex(is('begin')) + 1]));
        const told = (player, test) => player.messages.slice(from.get(player)).filter(test);
        const talk = (player) => told(player, (m) => TALK.has(m.type)).length;
        const missed = () => told(slow, (m) => m.type === 'missed').reduce((sum, m) => sum + m.payload.messages, 0);

        slow.socket.pause();
        await waitFor('messages that do not fit', async () => {
            await Promise.all(Array.from({ length: TOGETHER }, () => announce(randomBytes(180).toString('base64'))));
            return await game.metric('sync', 'mmorts_sync_missed_messages_total') > TOGETHER;
        });
        const late = await game.join('late');
        await witness.hears('joined', late.welcome.player_id);
        assert.equal(missed(), 0);
        assert.equal(told(witness, (m) => m.type === 'missed').length, 0, 'others miss nothing');

        slow.socket.resume();
        await slow.until('what it missed', () => missed() > 0);
        await announce('end');
        await Promise.all([witness, slow].map((player) => hears(player, 'end')));
        // A change of the session's state counts as well, if there was one, and what is told anew after the server was cut off.
        const states = () => told(witness, (m) => ['session_status', 'roster', 'groups', 'mailbox'].includes(m.type)).length;
        await slow.until('the count', () => talk(slow) + missed() >= talk(witness));
        assert.ok(talk(slow) + missed() <= talk(witness) + states(), `${talk(slow)} and ${missed()} missed of ${talk(witness)}`);
        assert.ok(missed() > TOGETHER);
        const at = slow.messages.findLastIndex((m) => m.type === 'missed');
        const { payload } = await slow.waitFor('roster', () => true, { from: at });
        assert.deepEqual(payload.players.map((one) => one.username).sort(), ['late', 'slow', 'witness']);
        await slow.waitFor('session_status', () => true, { from: at });
        assert.equal(slow.closed, null);
        late.close();
    } finally {
        await game.stop();
    }
});
