<?php

// PdoAdapter on PostgreSQL: the tests that Symfony has for each of its adapters, those of
// PSR-6's integration tests among them, and what they leave out.

namespace Symfony\Component\Cache\Tests\Adapter;

use Psr\Cache\CacheItemPoolInterface;
use Symfony\Bridge\PhpUnit\ClockMock;
use Symfony\Component\Cache\Adapter\PdoAdapter;

class PdoAdapterTest extends AdapterTestCase
{
	protected function setUp(): void
	{
		parent::setUp();
		ClockMock::withClockMock(true);
	}

	protected function tearDown(): void
	{
		ClockMock::withClockMock(false);
		parent::tearDown();
	}

	public function createCachePool(int $defaultLifetime = 0): CacheItemPoolInterface
	{
		return new PdoAdapter(connection(), 'ns', $defaultLifetime);
	}

	protected function isPruned(PdoAdapter $cache, string $name): bool
	{
		$select = connection()->prepare('SELECT 1 FROM cache_items WHERE item_id LIKE :id');
		$select->execute(['id' => '%'.$name]);

		return !$select->fetch();
	}

	private function stored(): int
	{
		return connection()->query('SELECT count(*) FROM cache_items')->fetchColumn();
	}

	public function testIsWhatItShouldBe()
	{
		$this->assertSame(MAP ? 'f' : 'r', connection()->query("SELECT relkind FROM pg_class WHERE oid = to_regclass('cache_items')")->fetchColumn());
	}

	// As that of Symfony for SQLite.
	public function testCleanupExpiredItems()
	{
		(new PdoAdapter(DSN))->clear();
		$cache = $this->createCachePool();
		$cache->save($cache->getItem('some_nice_key')->set(1)->expiresAfter(1));
		$this->assertSame(1, $this->stored());
		sleep(2);
		$this->assertFalse($cache->getItem('some_nice_key')->isHit());
		$this->assertSame(0, $this->stored());
	}

	public function testNamespaces()
	{
		$one = new PdoAdapter(DSN, 'one');
		$two = new PdoAdapter(DSN, 'two');
		$all = new PdoAdapter(DSN);
		foreach ([$one, $two] as $cache) {
			$cache->save($cache->getItem('a')->set(1));
		}
		$one->clear();
		$this->assertFalse($one->hasItem('a'));
		$this->assertTrue($two->hasItem('a'));
		$all->clear();
		$this->assertSame(0, $this->stored());
	}

	public function testDeferred()
	{
		$cache = $this->createCachePool();
		for ($i = 0; $i < 100; ++$i) {
			$cache->saveDeferred($cache->getItem("key$i")->set($i)->expiresAfter(0 === $i % 2 ? 60 : null));
		}
		$this->assertTrue($cache->commit());
		foreach ($cache->getItems(array_map(function ($i) { return "key$i"; }, range(0, 99))) as $key => $item) {
			$this->assertSame("key{$item->get()}", $key);
		}
		$this->assertTrue($cache->deleteItems(['key1', 'key2', 'nothing']));
		$this->assertFalse($cache->hasItem('key1'));
	}

	public function testValues()
	{
		$cache = $this->createCachePool();
		foreach (['', "\0\1\xff'\\", random_bytes(200000), null, false, 1.5, [1, ['a' => null]], new \ArrayObject([1])] as $i => $value) {
			$cache->save($cache->getItem("key$i")->set($value));
			$item = $cache->getItem("key$i");
			$this->assertTrue($item->isHit());
			$this->assertEquals($value, $item->get());
		}
	}

	public function testLongKeys()
	{
		$cache = $this->createCachePool();
		foreach ([252, 255, 1000] as $length) {
			$key = str_repeat('k', $length);
			$cache->save($cache->getItem($key)->set($length));
			$this->assertSame($length, $cache->getItem($key)->get());
		}
	}

	public function testColumnsOfOtherNames()
	{
		$cache = new PdoAdapter(DSN, '', 0, ['db_table' => 'my_items', 'db_id_col' => 'my_id', 'db_data_col' => 'my_data',
			'db_lifetime_col' => 'my_lifetime', 'db_time_col' => 'my_time']);
		if (!MAP) {
			$cache->createTable();
		}
		for ($i = 0; $i < 2; ++$i) {
			$cache->save($cache->getItem('a')->set($i)->expiresAfter(10));
			$this->assertSame($i, $cache->getItem('a')->get());
		}
		sleep(11);
		$this->assertTrue($cache->prune());
		$this->assertFalse($cache->hasItem('a'));
		$this->assertTrue($cache->clear());
	}

	public function testInATransaction()
	{
		$pdo = connection();
		$cache = new PdoAdapter($pdo, 'ns');
		$pdo->beginTransaction();
		$cache->save($cache->getItem('a')->set(1));
		$cache->save($cache->getItem('a')->set(2));
		$this->assertSame(2, $cache->getItem('a')->get());
		$pdo->commit();
		$this->assertSame(2, (new PdoAdapter(DSN, 'ns'))->getItem('a')->get());
		$this->assertSame(1, $this->stored());
	}

	// Lifetimes by the real clock.
	public function testRealClock()
	{
		ClockMock::withClockMock(false);
		$cache = $this->createCachePool();
		$cache->save($cache->getItem('a')->set(1)->expiresAfter(3));
		$cache->save($cache->getItem('b')->set(2)->expiresAfter(60));
		$this->assertTrue($cache->hasItem('a'));
		\sleep(4);
		$this->assertFalse($cache->hasItem('a'));
		$this->assertFalse($cache->getItem('a')->isHit());
		$this->assertTrue($cache->getItem('b')->isHit());
		$cache->save($cache->getItem('a')->set(3)->expiresAfter(60));
		$this->assertSame(3, $cache->getItem('a')->get());
	}

	// Processes, each with its own connection.
	private function atOnce(int $processes, callable $run)
	{
		$children = [];
		for ($i = 0; $i < $processes; ++$i) {
			if (0 === $pid = pcntl_fork()) {
				$status = 1;
				try {
					$run(new PdoAdapter(DSN, 'ns'), $i);
					$status = 0;
				} finally {
					// not PHPUnit's end, nor this one's
					posix_kill(getmypid(), 0 === $status ? \SIGTERM : \SIGKILL);
				}
			}
			$children[] = $pid;
		}
		foreach ($children as $pid) {
			pcntl_waitpid($pid, $status);
			$this->assertSame(\SIGTERM, pcntl_wtermsig($status));
		}
	}

	public function testManyAtOnce()
	{
		$this->atOnce(8, function ($cache, $i) {
			for ($j = 0; $j < 50; ++$j) {
				$cache->save($cache->getItem("key-$i-$j")->set([$i, $j]));
			}
		});
		$cache = $this->createCachePool();
		for ($i = 0; $i < 8; ++$i) {
			for ($j = 0; $j < 50; ++$j) {
				$this->assertSame([$i, $j], $cache->getItem("key-$i-$j")->get());
			}
		}
	}

	public function testOneKeyAtOnce()
	{
		$this->atOnce(8, function ($cache, $i) {
			for ($j = 0; $j < 50; ++$j) {
				$cache->save($cache->getItem('a')->set(str_repeat($i, 3000)));
				$got = $cache->getItem('a')->get();
				if (null !== $got && $got !== str_repeat($got[0], 3000)) {
					throw new \Exception('torn');
				}
				if (7 === $i) {
					$cache->deleteItem('a');
				}
			}
		});
		$cache = $this->createCachePool();
		$cache->save($cache->getItem('a')->set('last'));
		$this->assertSame('last', $cache->getItem('a')->get());
	}
}
