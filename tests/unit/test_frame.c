/* SPDX-License-Identifier: Apache-2.0 */
/* What gateways and hubs say: each frame comes back as it was, cut anywhere it waits for more, and nonsense is refused. */
#include "support.h"

#include "gateway/frame.h"

static struct frame frame;

static void read_one(const struct buf *b, size_t at, enum frame_type type, size_t *used)
{
    for (size_t cut = 0; at + cut < b->len; cut++) {
        enum frame_read rc = frame_read(b->data + at, cut, &frame, used);
        if (rc == FRAME_WHOLE) {
            assert_int_equal(frame.type, type);
            return;
        }
        assert_int_equal(rc, FRAME_MORE);
    }
    assert_int_equal(frame_read(b->data + at, b->len - at, &frame, used), FRAME_WHOLE);
    assert_int_equal(frame.type, type);
}

static void test_all(void **state)
{
    (void)state;
    struct buf b, again;
    size_t at = 0, used;
    struct uuid x = uid('x', 1), y = uid('y', 2);
    struct event event = meter_event(1, 2, 3, 4, 5, 6);
    static struct row_price price; /* what is between its fields is compared too: zero */
    price.id = x;
    price.model = y;
    price.prompt = 17;
    price.from_ms = -5;
    event.token = 77;
    buf_init(&b, 65536);
    frame_add_hello(&b, &x);
    frame_add_event(&b, &event);
    frame_add_number(&b, FRAME_PING, 9);
    frame_add_welcome(&b, true);
    frame_add_reply(&b, 77, ERR_BUDGET_HELD, -4);
    frame_add_recall(&b, &x, &y);
    frame_add_number(&b, FRAME_ROUTES, 3);
    frame_add_row(&b, ROW_KIND_price, &price);
    frame_add_number(&b, FRAME_ROUTES_END, 1);
    frame_add_pong(&b, 9, false);
    assert_false(b.failed);
    read_one(&b, at, FRAME_HELLO, &used);
    assert_true(uuid_eq(&frame.a, &x));
    read_one(&b, at += used, FRAME_EVENT, &used);
    assert_int_equal(frame.event.token, 77);
    /* What a structure has between its fields is not sent. */
    buf_init(&again, 65536);
    frame_add_event(&again, &frame.event);
    assert_true(again.len == used && memcmp(again.data, b.data + at, used) == 0);
    /* Its age stands in place of its time, and changes nothing else of it. */
    struct event aged = frame.event;
    aged.at_ms = INT64_C(987654321098);
    frame_set_age(again.data, 987654321098);
    read_one(&again, 0, FRAME_EVENT, &used);
    assert_memory_equal(&frame.event, &aged, sizeof aged);
    buf_fini(&again);
    read_one(&b, at += used, FRAME_PING, &used);
    assert_int_equal(frame.number, 9);
    read_one(&b, at += used, FRAME_WELCOME, &used);
    assert_int_equal(frame.flag, 1);
    read_one(&b, at += used, FRAME_REPLY, &used);
    assert_true(frame.token == 77 && frame.code == ERR_BUDGET_HELD && frame.amount == -4);
    read_one(&b, at += used, FRAME_RECALL, &used);
    assert_true(uuid_eq(&frame.a, &x) && uuid_eq(&frame.b, &y));
    read_one(&b, at += used, FRAME_ROUTES, &used);
    assert_int_equal(frame.number, 3);
    read_one(&b, at += used, FRAME_ROW, &used);
    assert_int_equal(frame.kind, ROW_KIND_price);
    assert_memory_equal(frame.row, &price, sizeof price);
    read_one(&b, at += used, FRAME_ROUTES_END, &used);
    read_one(&b, at += used, FRAME_PONG, &used);
    assert_true(frame.number == 9 && frame.flag == 0);
    assert_int_equal(at + used, b.len);
    buf_fini(&b);
}

/* Every row that a gateway is sent fits. */
static void test_rows_fit(void **state)
{
    (void)state;
    const struct layout *layout;
    for (uint32_t i = 0; (layout = layout_row_at(i)) != NULL; i++)
        assert_true(layout->size <= FRAME_ROW_MAX);
}

static void bad(const char *bytes, size_t len)
{
    size_t used;
    assert_int_equal(frame_read(bytes, len, &frame, &used), FRAME_BAD);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const char hello_of_version_2[FRAME_HEAD_LEN + 18] = {18, 0, 0, 0, FRAME_HELLO, 2, 0, 1};
    static const char hello_of_nobody[FRAME_HEAD_LEN + 18] = {18, 0, 0, 0, FRAME_HELLO, 1, 0};
    bad("\xff\xff\xff\xff\x02", 5);     /* longer than any; known at once, without waiting for it */
    bad("\x00\x00\x00\x00\x00", 5);     /* of no type */
    bad("\x00\x00\x00\x00\x63", 5);     /* nor this */
    bad("\x00\x00\x00\x00\x03", 5);     /* a ping of no number */
    bad("\x01\x00\x00\x00\x10\x02", 6); /* a welcome that is neither */
    bad("\x01\x00\x00\x00\x14\x01", 6); /* a row of half a kind */
    bad("\x02\x00\x00\x00\x14\xff\xff", 7);
    bad("\x01\x00\x00\x00\x02\x01", 6); /* an event that is cut */
    bad(hello_of_version_2, sizeof hello_of_version_2);
    bad(hello_of_nobody, sizeof hello_of_nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_rows_fit),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
