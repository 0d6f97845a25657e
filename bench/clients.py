"""What Django's cache does in a second, for ./clients.

usage: clients.py WHAT TABLE SECONDS ENTRIES
Prints how often a second, and how often in all, with what came before that was measured.
"""

import os
import random
import sys
import time

from django.conf import settings

what, table, seconds, entries = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
settings.configure(
    DATABASES={'default': {'ENGINE': 'django.db.backends.postgresql', 'HOST': os.environ['PGHOST'],
                           'USER': os.environ['PGUSER'], 'NAME': os.environ['PGDATABASE']}},
    CACHES={'default': {'BACKEND': 'django.core.cache.backends.db.DatabaseCache', 'LOCATION': table,
                        'OPTIONS': {'MAX_ENTRIES': 1000000}}},
    USE_TZ=True,
)

from django.core.cache import cache     # noqa: E402
from django.db import connection        # noqa: E402

value = {'html': 'x' * 200, 'tags': ['a', 'b']}


def set():
    cache.set('page:%d' % random.randrange(entries), value, 3600)


def get():
    cache.get('page:%d' % random.randrange(entries))


with connection.cursor() as cursor:
    cursor.execute('SELECT count(*) FROM %s' % table)
    if cursor.fetchone()[0] < entries:
        cache.set('page:0', value, 3600)
        cursor.execute('INSERT INTO {0} SELECT \':1:page:\' || i, (SELECT value FROM {0} LIMIT 1), now() + interval \'1 h\' '
                       'FROM generate_series(1, {1} - 1) i'.format(table, entries))
run = {'set': set, 'get': get}[what]
for _ in range(100):
    run()
done, begun = 0, time.monotonic()
while time.monotonic() < begun + seconds:
    run()
    done += 1
print('%.0f %d' % (done / (time.monotonic() - begun), 100 + done))
