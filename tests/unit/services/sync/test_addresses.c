#include <criterion/criterion.h>
#include <string.h>

#include "services/sync/addresses.h"

static struct sync_address address(const char *text)
{
    struct sync_address out;
    cr_assert(sync_address_parse(text, strlen(text), &out), "%s", text);
    return out;
}

static struct sync_network network(const char *text)
{
    struct sync_network out;
    cr_assert(sync_network_parse(text, &out), "%s", text);
    return out;
}

Test(sync_addresses, what_is_an_address)
{
    struct sync_address before = address("192.0.2.1"), after = before;
    static const char *const wrong[] = {
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4x",
        "::1%lo",
        "[::1]",
        "1.2.3.4:80",
        "localhost",
        "unknown",
        " 1.2.3.4",
        "0:0:0:0:0:0:0:0:0",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(sync_address_parse(wrong[i], strlen(wrong[i]), &after), "%s", wrong[i]);
    cr_expect_not(sync_address_parse("::1\0", 4, &after));
    cr_expect_arr_eq(before.bytes, after.bytes, sizeof before.bytes, "it is left alone");
    cr_expect(sync_address_parse("1.2.3.45", 7, &after), "of the text so much as is said");
    cr_expect_eq(after.bytes[15], 4);
}

Test(sync_addresses, what_counts_as_one)
{
    struct sync_address v4 = address("192.0.2.1"), mapped = address("::ffff:192.0.2.1");
    struct sync_address next = address("192.0.2.2");
    cr_expect_eq(sync_address_key(&v4), sync_address_key(&mapped));
    cr_expect_neq(sync_address_key(&v4), sync_address_key(&next));
    struct sync_address a = address("2001:db8:1:2::1"), b = address("2001:db8:1:2:ffff::9");
    struct sync_address c = address("2001:db8:1:3::1");
    cr_expect_eq(sync_address_key(&a), sync_address_key(&b));
    cr_expect_neq(sync_address_key(&a), sync_address_key(&c));
}

Test(sync_addresses, networks)
{
    static const struct {
        const char *network, *in, *out;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", "11.0.0.0"},
        {"192.0.2.128/25", "192.0.2.255", "192.0.2.127"},
        {"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"},
        {"0.0.0.0/0", "255.1.1.1", "::1"},
        {"::/0", "1.2.3.4", NULL},
        {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"},
        {"::1", "::1", "127.0.0.1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sync_network whole = network(cases[i].network);
        struct sync_address in = address(cases[i].in);
        cr_expect(sync_network_has(&whole, &in), "%s", cases[i].network);
        if (!cases[i].out)
            continue;
        struct sync_address out = address(cases[i].out);
        cr_expect_not(sync_network_has(&whole, &out), "%s", cases[i].network);
    }
    static const char *const wrong[] = {"10.0.0.0/33",  "10.0.0.1/8", "::1/127",
                                        "::/129",       "10.0.0.0/",  "10.0.0.0/-1",
                                        "10.0.0.0/8/8", "/8",         "10.0.0.0/08"};
    struct sync_network out;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(sync_network_parse(wrong[i], &out), "%s", wrong[i]);
}

Test(sync_addresses, behind_proxies)
{
    const struct sync_network proxies[] = {network("10.0.0.0/8"), network("2001:db8::1")};
    static const struct {
        const char *peer, *forwarded, *expected;
    } cases[] = {
        {"192.0.2.1", "192.0.2.9", "192.0.2.1"}, // no proxy: its own word
        {"10.0.0.1", NULL, "10.0.0.1"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "192.0.2.9", "192.0.2.9"},
        {"10.0.0.1", "192.0.2.8, 192.0.2.9", "192.0.2.9"},
        {"10.0.0.1", "192.0.2.8,192.0.2.9 , 10.0.0.2,2001:db8::1", "192.0.2.9"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"}, // from within
        {"10.0.0.1", "192.0.2.9, unknown", "10.0.0.1"},
        {"10.0.0.1", "192.0.2.9, unknown, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "192.0.2.9,", "10.0.0.1"},
        {"10.0.0.1", ",", "10.0.0.1"},
        {"2001:db8::1", ",,192.0.2.9", "192.0.2.9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sync_address found =
            sync_address_behind(address(cases[i].peer), cases[i].forwarded, proxies, 2);
        struct sync_address expected = address(cases[i].expected);
        cr_expect_arr_eq(found.bytes, expected.bytes, sizeof found.bytes, "%s behind %s",
                         cases[i].forwarded ? cases[i].forwarded : "-", cases[i].peer);
    }
}
