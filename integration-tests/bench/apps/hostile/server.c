/*
 * An app that does what no app should, at full speed and without end, as the variable HOSTILE says. It is started as a program
 * with its listening socket at descriptor 3, or, for `frames`, in the place of Ruby's interpreter: then it speaks the session
 * protocol of docs/APP-PROTOCOL.md.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK "HTTP/1.1 200 OK\r\n"

static void put(int client, const char *bytes, size_t length) {
    while (length) {
        ssize_t written = write(client, bytes, length);
        if (written <= 0) return;
        bytes += written;
        length -= written;
    }
}

static int text(int client, const char *words) {
    return write(client, words, strlen(words)) > 0;
}

/* Whether a head came. */
static int read_head(int client) {
    char head[16384];
    size_t length = 0;
    ssize_t came;
    while ((came = read(client, head + length, sizeof head - 1 - length)) > 0) {
        length += came;
        head[length] = 0;
        if (strstr(head, "\r\n\r\n")) return 1;
    }
    return 0;
}

static int is_gone(int client) {
    char byte;
    return recv(client, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static void attack(int client, const char *how) {
    static const char frame[9] = {1, 0, 0, 0, 2, 0, 0, 0, 'x'};
    static const char head_frame[] = {3, 0, 0, 0, 1, 0, 0, 0, '2', '0', '0'};
    static const char greeting[8] = {0, 0, 0, 0, 6, 0, 0, 0};
    char byte, header[32];
    int number = 0;
    if (!strcmp(how, "frames")) {
        put(client, greeting, sizeof greeting);
        if (read(client, header, sizeof header) <= 0) return;
        put(client, head_frame, sizeof head_frame);
        while (write(client, frame, sizeof frame) > 0) continue;
        return;
    }
    if (!strcmp(how, "slow-upload")) {
        /* One byte at a time, head and body. The daemon's first request, whether the app answers, is a GET. */
        if (read(client, &byte, 1) > 0 && byte != 'P') text(client, OK "Content-Length: 0\r\n\r\n");
        while (read(client, &byte, 1) > 0) continue;
        return;
    }
    if (!read_head(client)) return;
    if (!strcmp(how, "burn")) {
        /* Not hostile: what a busy app takes of the processors. */
        text(client, OK "Content-Length: 3\r\n\r\nok");
        while (!is_gone(client))
            for (volatile int turn = 0; turn < 1000000;) turn++;
    } else if (!strcmp(how, "continue")) {
        while (text(client, "HTTP/1.1 100 Continue\r\n\r\n")) continue;
    } else if (!strcmp(how, "chunks")) {
        text(client, OK "Transfer-Encoding: chunked\r\n\r\n");
        while (text(client, "1\r\nx\r\n")) continue;
    } else if (!strcmp(how, "drip")) {
        text(client, OK "X-Long: ");
        while (write(client, "x", 1) > 0) continue;
    } else if (!strcmp(how, "headers")) {
        text(client, OK);
        do snprintf(header, sizeof header, "X%d: y\r\n", number++);
        while (text(client, header));
    } else if (!strcmp(how, "bytes")) {
        text(client, OK "Content-Length: 1000000000000\r\n\r\n");
        while (write(client, "x", 1) > 0) continue;
    } else if (!strcmp(how, "log")) {
        text(client, OK "Content-Length: 3\r\n\r\nok");
        while (!is_gone(client) && text(1, "a line that the app prints without end, as an exception in a loop does\n")) continue;
    }
}

int main(void) {
    const char *how = getenv("HOSTILE");
    signal(SIGPIPE, SIG_IGN);
    if (!how) return 2;
    if (!strcmp(how, "frames")) {
        text(4, "ready\n");
        close(4);
    }
    for (;;) {
        int client = accept(3, 0, 0);
        if (client < 0) return 1;
        attack(client, how);
        close(client);
    }
}
