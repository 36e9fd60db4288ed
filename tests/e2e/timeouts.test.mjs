// Clients that are there no more, or take nothing in: pinged, and cut off after the time that the operators set. Nobody else
// is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Game, settings, stopReading } from '../support/game.mjs';
import { PING, RawSocket } from '../support/raw_ws.mjs';
import { pause, waitFor } from '../support/servers.mjs';

let game, witness;

before(async () => {
    game = await Game.start({
        services: settings({ sync: (text) => text.replace('ping: 20s', 'ping: 1s').replace('idle: 45s', 'idle: 10s').replace('behind: 30s', 'behind: 5s') }),
    });
    witness = await game.join('witness');
});

after(async () => {
    witness?.terminate();
    await game?.stop();
});

test('who says nothing is pinged; who does not answer is cut off, and who does is not', { timeout: 300000 }, async () => {
    let pings = 0;
    witness.socket.on('ping', (data) => { pings += data.toString() === 'mmorts'; });
    const url = new URL(game.socketUrl);
    const silent = new RawSocket(url.port);
    const begin = performance.now();
    assert.equal((await silent.open(`${url.pathname}?token=${await game.token('silent')}`)).status, 101);
    await silent.wait('a ping', () => silent.control.some(({ opcode, data }) => opcode === PING && data.toString() === 'mmorts'));
    await silent.wait('end of who has been silent for 10 s', () => silent.ended);
    assert.ok(performance.now() - begin > 9000, 'not before its time');
    assert.equal(silent.closed, null);
    // It said no more either, but answers.
    await waitFor('pings of another', () => pings > 1);
    assert.equal(witness.closed, null);
});

test('who takes nothing in is cut off after its time, however much it says', { timeout: 300000 }, async () => {
    const sleeper = await game.join('sleeper', { compression: false });
    await witness.hears('joined', sleeper.welcome.player_id);
    const kills = () => game.metric('sync', 'mmorts_sync_kills_total');
    const before = await kills();
    await stopReading(game, sleeper);
    let gone = false;
    const left = witness.hears('left', sleeper.welcome.player_id).then(() => { gone = true; });
    while (!gone) {
        sleeper.send({ type: 'ping', payload: { timestamp: 1 } }); // silent it is not
        await Promise.race([left, pause(200)]);
    }
    assert.equal(await kills(), before + 1);
    assert.equal(witness.closed, null);
    sleeper.terminate();
});
