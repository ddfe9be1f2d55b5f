#!/usr/bin/python3
"""A real SMTP server for tests, on Debian's python3-aiosmtpd, with faults on demand. Verstak::Smtp starts it and reads what it writes.

    smtp_server.py DIRECTORY

DIRECTORY/settings.json   read once: host, port, hostname, security (none, starttls, tls), certificate, key, starttls_required, user, password,
                          auth_required, mechanisms
DIRECTORY/rules.json      read again whenever it changed: a list of faults; the first that matches a step decides it
DIRECTORY/port            the port, written when it listens
DIRECTORY/mail/N-PID-N    a file an accepted message, there (by rename) before the answer is sent: a line of JSON, then the message as it came
DIRECTORY/events          a line of JSON for each connection, step and fault

A rule: id, at (step), do, and what narrows it: to (regular expression on the recipients), times (so often in all), skip (not the first so many), accepted
(only on connections that accepted so many messages already).
Steps: connect (before the greeting), starttls, auth, mail, rcpt, data (before 354), content (after 354, when bytes of the message are here; close and hang
only), end (whole message read, not kept), stored (kept, not answered), accepted (answered with 250; close and hang only).
What to do: reply (text; \\n divides lines, {token} is the first 64 hex digits in the message's text), close (reply first when there is one), hang (for ever),
slow (rest so many seconds, then go on with the rules after it).
"""
import asyncio
import email
import email.policy
import json
import logging
import os
import re
import socket
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult, TLSSetupException

DIRECTORY = sys.argv[1]


def path(name):
    return os.path.join(DIRECTORY, name)


def write_whole(name, data):
    """Writes a file so that it is there whole or not at all, whoever is killed."""
    with open(path(name + '.new'), 'wb') as file:
        file.write(data)
    os.rename(path(name + '.new'), path(name))


class Events:
    """Each line is one write to a file opened for appending."""

    def __init__(self):
        self.fd = os.open(path('events'), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, **event):
        os.write(self.fd, (json.dumps({'time': time.time(), **event}) + '\n').encode())


class Rules:
    """The faults, and how often each was met and done; the counts survive other rules being added, but not this process."""

    def __init__(self):
        self.stamp = None
        self.rules = []
        self.met = {}
        self.done = {}

    def read(self):
        try:
            stat = os.stat(path('rules.json'))
        except FileNotFoundError:
            return []
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self.stamp:
            with open(path('rules.json'), encoding='utf-8') as file:
                self.rules = json.load(file)
            self.stamp = stamp
        return self.rules

    def matching(self, step, recipients, accepted):
        """The rules that decide this step now, in order; each is counted when the caller takes it."""
        for rule in self.read():
            if rule['at'] != step or accepted < rule.get('accepted', 0):
                continue
            if 'to' in rule and not any(re.search(rule['to'], recipient) for recipient in recipients):
                continue
            name = rule['id']
            self.met[name] = self.met.get(name, 0) + 1
            if self.met[name] <= rule.get('skip', 0):
                continue
            if rule.get('times') is not None and self.done.get(name, 0) >= rule['times']:
                continue
            self.done[name] = self.done.get(name, 0) + 1
            yield rule


class Ended(asyncio.CancelledError):
    """The connection was closed by a rule; nothing more is to be said on it. aiosmtpd takes it for the client's leaving."""


class Refused(Exception):
    """A rule gave another reply than the usual one; the step is over, the connection goes on."""


def token_in(raw):
    message = email.message_from_bytes(raw, policy=email.policy.default)
    text = ' '.join(part.get_content() for part in message.walk() if part.get_content_maintype() == 'text')
    return (re.findall('[0-9a-f]{64}', text) or [''])[0]


class Keeper:
    """aiosmtpd's handler: keeps the message."""

    def __init__(self):
        self.count = 0

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):
        session.host_name = hostname
        return [line for line in responses if line != '250-AUTH ']

    async def handle_DATA(self, server, session, envelope):
        await server.step('end', envelope.rcpt_tos, envelope)
        self.count += 1
        raw = envelope.original_content
        head = {
            'time': time.time(), 'connection': server.number, 'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'options': envelope.mail_options,
            'tls': server.uses_tls(), 'user': server.user, 'helo': session.host_name,
        }
        write_whole(f'mail/{time.time_ns()}-{os.getpid()}-{self.count}', json.dumps(head).encode() + b'\n' + raw)
        await server.step('stored', envelope.rcpt_tos, envelope)
        return '250 2.0.0 accepted'


class Server(SMTP):
    connections = 0

    def __init__(self, handler, rules, events, implicit_tls, **options):
        super().__init__(handler, **options)
        self.rules = rules
        self.events = events
        self.implicit_tls = implicit_tls
        self.user = None
        self.accepted = 0
        self.number = None

    def uses_tls(self):
        return self.implicit_tls or self.session.ssl is not None

    async def step(self, name, recipients=(), envelope=None):
        """Does what the rules say for this step; returns when that leaves the usual reply to be given, else raises Refused or Ended."""
        self.events.add(step=name, connection=self.number, to=list(recipients))
        for rule in self.rules.matching(name, recipients, self.accepted):
            self.events.add(rule=rule['id'], at=name, connection=self.number, to=list(recipients))
            what = rule['do']
            if what == 'slow':
                await asyncio.sleep(rule['seconds'])
                continue
            if what == 'hang':
                await asyncio.sleep(1e6)
            if 'reply' in rule:
                await self.push(self.reply_text(rule['reply'], envelope))
            if what == 'close':
                self.transport.close()
                raise Ended
            raise Refused

    @staticmethod
    def reply_text(text, envelope):
        if '{token}' in text and envelope is not None:
            text = text.replace('{token}', token_in(envelope.original_content))
        return text.replace('\n', '\r\n').encode('latin-1')

    async def _handle_client(self):
        Server.connections += 1
        self.number = Server.connections
        self.events.add(connected=self.number)
        try:
            await self.step('connect')
            await super()._handle_client()
        except Refused:
            self.transport.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass

    async def push(self, status):
        await super().push(status)
        if isinstance(status, str) and status.startswith('354'):
            while not self._reader._buffer:
                await asyncio.sleep(0.001)
            await self.step('content', self.envelope.rcpt_tos)

    async def handle_exception(self, error):
        return '454 4.7.0 no TLS' if isinstance(error, TLSSetupException) else await super().handle_exception(error)

    async def stepped(self, name, usual, arg, recipients=()):
        try:
            await self.step(name, recipients)
            await usual(arg)
        except Refused:
            pass

    async def smtp_STARTTLS(self, arg):
        await self.stepped('starttls', super().smtp_STARTTLS, arg)

    async def smtp_AUTH(self, arg):
        await self.stepped('auth', super().smtp_AUTH, arg)

    async def smtp_MAIL(self, arg):
        await self.stepped('mail', super().smtp_MAIL, arg)

    async def smtp_RCPT(self, arg):
        await self.stepped('rcpt', super().smtp_RCPT, arg, re.findall('<(.*?)>', arg or ''))

    async def smtp_DATA(self, arg):
        await self.stepped('data', self.take_message, arg, self.envelope.rcpt_tos)

    async def take_message(self, arg):
        recipients = list(self.envelope.rcpt_tos)
        try:
            await super().smtp_DATA(arg)
        except Refused:
            self._set_post_data_state()
            return
        self.accepted += 1
        await self.step('accepted', recipients)


def authenticator(settings):
    def check(server, _session, _envelope, _mechanism, data):
        login = [part.decode() for part in data]
        good = login == [settings.get('user'), settings.get('password')]
        server.user = login[0] if good else None
        return AuthResult(success=good, handled=False, message=None if good else '535 5.7.8 Authentication credentials invalid')
    return check


def options_of(settings):
    context = None
    if settings['security'] != 'none':
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings['certificate'], settings['key'])
    mechanisms = settings.get('mechanisms', ['PLAIN', 'LOGIN']) if settings.get('user') else []
    starttls = settings['security'] == 'starttls'
    return context, {
        'hostname': settings.get('hostname', 'localhost'), 'authenticator': authenticator(settings), 'tls_context': context if starttls else None,
        'require_starttls': starttls and settings.get('starttls_required', True), 'auth_required': bool(settings.get('auth_required')),
        'auth_require_tls': starttls, 'auth_exclude_mechanism': {'PLAIN', 'LOGIN'} - set(mechanisms),
    }


def quiet(loop, context):
    """Clients that do not like our certificate, or die, are what the tests want."""
    if not isinstance(context.get('exception'), (ConnectionError, ssl.SSLError)):
        loop.default_exception_handler(context)


async def main():
    with open(path('settings.json'), encoding='utf-8') as file:
        settings = json.load(file)
    logging.getLogger('mail.log').setLevel(logging.ERROR)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(quiet)
    context, options = options_of(settings)
    events, rules = Events(), Rules()
    handler = Keeper()
    # Bound by hand: the test holds the port with a socket of its own that does not listen, while this server is away.
    listener = socket.socket(socket.AF_INET6 if ':' in settings['host'] else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings['host'], settings['port']))
    server = await loop.create_server(
        lambda: Server(handler, rules, events, settings['security'] == 'tls', loop=loop, **options), sock=listener, backlog=512,
        ssl=context if settings['security'] == 'tls' else None)
    write_whole('port', str(listener.getsockname()[1]).encode())
    await server.serve_forever()


if __name__ == '__main__':
    asyncio.run(main())
