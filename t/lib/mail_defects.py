#!/usr/bin/python3
"""What is wrong with the messages in the files named: for each a line of JSON, a list of what Python's parser of e-mails and the rules of RFC 5321 and 5322
on lines have against it. A first line of JSON, as smtp_server.py writes it, is passed over. Called by Verstak::Smtp::Message."""
import email
import email.policy
import json
import re
import sys


def defects_of(raw):
    found = []
    try:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        for part in message.walk():
            found += [repr(defect) for defect in part.defects]
            for name, value in part.items():
                found += [f'{name}: {defect!r}' for defect in getattr(value, 'defects', ())]
            if part.get_content_maintype() == 'text':
                part.get_content()
    except Exception as error:  # whatever the parser cannot take is a defect of the message
        found.append(repr(error))
    if re.search(rb'\r(?!\n)|(?<!\r)\n', raw):
        found.append('a bare CR or LF')
    if any(len(line) > 998 for line in raw.split(b'\r\n')):
        found.append('a line longer than 998 bytes')
    if any(byte > 127 for byte in raw):
        found.append('bytes above 127')
    return found


for name in sys.argv[1:]:
    with open(name, 'rb') as file:
        print(json.dumps(defects_of(file.read().split(b'\n', 1)[1])))
