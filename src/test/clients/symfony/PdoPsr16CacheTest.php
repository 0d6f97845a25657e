<?php

// PSR-16 over PdoAdapter: the tests that Symfony has for it.

namespace Symfony\Component\Cache\Tests;

use Psr\SimpleCache\CacheInterface;
use Symfony\Bridge\PhpUnit\ClockMock;
use Symfony\Component\Cache\Adapter\PdoAdapter;
use Symfony\Component\Cache\Psr16Cache;

class PdoPsr16CacheTest extends Psr16CacheTest
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

	public function createSimpleCache(int $defaultLifetime = 0): CacheInterface
	{
		return new Psr16Cache(new PdoAdapter(connection(), 'psr16', $defaultLifetime));
	}

	protected function isPruned(CacheInterface $cache, string $name): bool
	{
		$select = connection()->prepare('SELECT 1 FROM cache_items WHERE item_id LIKE :id');
		$select->execute(['id' => '%'.$name]);

		return !$select->fetch();
	}
}
