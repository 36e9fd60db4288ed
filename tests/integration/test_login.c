// The stand-in login server: its answers, its refusals, and what it keeps.

#include "tests/support/process.h"

#include <criterion/criterion.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = TEST_PATIENCE_MS };

struct response {
    long status;
    char text[16384]; // headers and body
    size_t bytes;
};

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    struct response *response = arg;
    size_t bytes = size * count;
    cr_assert(response->bytes + bytes < sizeof response->text);
    memcpy(response->text + response->bytes, data, bytes);
    response->bytes += bytes;
    response->text[response->bytes] = '\0';
    return bytes;
}

static struct response request(uint16_t port, const char *method, const char *path,
                               const char *body, size_t body_bytes)
{
    struct response response = {.status = -1};
    char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body_bytes);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HEADER, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response);
    cr_assert(curl_easy_perform(curl) == CURLE_OK, "%s", url);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    curl_easy_cleanup(curl);
    return response;
}

static struct response log_in(uint16_t port, const char *body)
{
    return request(port, "POST", "/api/login", body, strlen(body));
}

static int64_t user_id(uint16_t port, const char *body)
{
    struct response response = log_in(port, body);
    cr_assert(response.status == 200, "%s: %s", body, response.text);
    const char *json = strstr(response.text, "\r\n\r\n");
    json_t *answer = json_loads(json, 0, NULL);
    cr_assert(answer != NULL);
    cr_expect(json_string_length(json_object_get(answer, "token")) > 100);
    int64_t id = json_integer_value(json_object_get(answer, "user_id"));
    json_decref(answer);
    return id;
}

static struct test_process *start(uint16_t port, const char *data, const char *option)
{
    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    const char *const argv[] = {"mmorts-login", "--listen", listen, "--data", data, option, NULL};
    return test_process_start(argv, NULL);
}

static void stop(struct test_process *process)
{
    char *log = NULL;
    cr_expect(test_process_stop(process) == 0);
    log = test_process_log(process);
    cr_expect(strstr(log, "Sanitizer") == NULL && strstr(log, "eyJ") == NULL, "%s", log);
    free(log);
    test_process_free(process);
}

static const char *const refused_bodies[] = {
    "",
    "{",
    "[]",
    "\"ann\"",
    "{}",
    "{\"username\":7}",
    "{\"username\":\"\"}",
    "{\"username\":\" ann\"}",
    "{\"username\":\"an\\nn\"}",
    "{\"username\":\"an\\u0000n\"}",
    "{\"username\":\"\\u202ename\"}",
    "{\"username\":\"123456789012345678901234567890123\"}",
    "{\"username\":\"a\",\"username\":\"b\"}",
    "{\"username\":\"ann\",\"activated\":0}", // a knob of --test
    "{\"username\":\"ann\",\"issuer\":\"x\"}",
};

Test(login, answers_and_refusals, .timeout = 300)
{
    char *dir = test_dir_make();
    uint16_t port = test_port_free();
    struct test_process *process = start(port, dir, NULL);
    cr_assert(test_process_wait_ready(process, port, WAIT_MS));
    for (size_t i = 0; i < sizeof refused_bodies / sizeof refused_bodies[0]; i++) {
        struct response response = log_in(port, refused_bodies[i]);
        cr_expect(response.status == 400 && strstr(response.text, "INVALID_ARGUMENT") != NULL,
                  "%s: %s", refused_bodies[i], response.text);
        cr_expect(strstr(response.text, "Access-Control-Allow-Origin: *\r\n") != NULL);
    }
    static char huge[100000];
    memset(huge, ' ', sizeof huge);
    cr_expect(request(port, "POST", "/api/login", huge, sizeof huge).status == 413);
    cr_expect(request(port, "GET", "/api/login", NULL, 0).status == 405);
    cr_expect(request(port, "GET", "/", NULL, 0).status == 404);
    cr_expect(request(port, "POST", "/api/rotate-key", "", 0).status == 404);

    struct response response = request(port, "OPTIONS", "/api/login", NULL, 0);
    cr_expect(response.status == 204);
    cr_expect(strstr(response.text, "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n") !=
              NULL);
    cr_expect(strstr(response.text, "Access-Control-Allow-Headers: Content-Type\r\n") != NULL);
    response = request(port, "GET", "/api/public-key", NULL, 0);
    cr_expect(response.status == 200);
    cr_expect(strstr(response.text, "-----BEGIN PUBLIC KEY-----\n") != NULL);

    cr_expect(user_id(port, "{\"username\":\"ann\",\"password\":\"any\"}") == 1);
    cr_expect(user_id(port, "{\"username\":\"bob\"}") == 2);
    cr_expect(user_id(port, "{\"username\":\"ann\"}") == 1);
    cr_expect(user_id(port, "{\"username\":\"Ann\"}") == 3);
    stop(process);
    free(dir);
}

Test(login, names_and_key_are_kept, .timeout = 300)
{
    char *dir = test_dir_make();
    char path[PATH_MAX];
    uint16_t port = test_port_free();
    struct test_process *process = start(port, dir, "--test");
    cr_assert(test_process_wait_ready(process, port, WAIT_MS));
    cr_expect(user_id(port, "{\"username\":\"ann\"}") == 1);
    cr_expect(user_id(port, "{\"username\":\"J\\u00f6rg\"}") == 2);
    struct response before = request(port, "GET", "/api/public-key", NULL, 0);
    test_process_kill(process);
    test_process_free(process);
    struct stat status;
    snprintf(path, sizeof path, "%s/key.pem", dir);
    cr_assert(stat(path, &status) == 0);
    cr_expect((status.st_mode & 0777) == 0600);

    // A line that a crash left unfinished is nobody's.
    snprintf(path, sizeof path, "%s/users", dir);
    FILE *file = fopen(path, "a");
    cr_assert(file != NULL);
    fputs("half", file);
    fclose(file);
    process = start(port, dir, "--test");
    cr_assert(test_process_wait_ready(process, port, WAIT_MS), "%s", test_process_log(process));
    cr_expect(user_id(port, "{\"username\":\"J\\u00f6rg\"}") == 2);
    cr_expect(user_id(port, "{\"username\":\"half\"}") == 3);
    struct response after = request(port, "GET", "/api/public-key", NULL, 0);
    cr_expect_str_eq(strstr(before.text, "-----BEGIN"), strstr(after.text, "-----BEGIN"));
    cr_expect(request(port, "POST", "/api/rotate-key", "", 0).status == 200);
    struct response rotated = request(port, "GET", "/api/public-key", NULL, 0);
    cr_expect_str_neq(strstr(before.text, "-----BEGIN"), strstr(rotated.text, "-----BEGIN"));
    stop(process);

    // A damaged file is not guessed at: numbers would be given to the wrong names.
    file = fopen(path, "a");
    cr_assert(file != NULL);
    fputs("ann\n", file);
    fclose(file);
    process = start(port, dir, "--test");
    int end = test_process_wait(process, WAIT_MS);
    cr_expect(WIFEXITED(end) && WEXITSTATUS(end) == 1);
    test_process_free(process);
    free(dir);
}
