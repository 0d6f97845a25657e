<?php

// Symfony's cache as Debian has it, its tests from the source, and the results as TAP.
//
// The environment says where: KIND is table or map, SYMFONY the folder "src/Symfony" of
// Symfony's source, the variables of libpq name a database.

use PHPUnit\Framework\AssertionFailedError;
use PHPUnit\Framework\Test;
use PHPUnit\Framework\TestFailure;
use PHPUnit\Framework\TestResult;
use PHPUnit\Framework\Warning;
use PHPUnit\TextUI\DefaultResultPrinter;
use PHPUnit\Util\Test as Names;
use Symfony\Bridge\PhpUnit\ClockMock;
use Symfony\Component\Cache\Adapter\PdoAdapter;

require_once 'Symfony/Component/Cache/autoload.php';
require_once 'Psr/SimpleCache/autoload.php';
require_once 'Cache/IntegrationTests/autoload.php';
require_once getenv('SYMFONY').'/Bridge/PhpUnit/ClockMock.php';
require_once getenv('SYMFONY').'/Component/Cache/Tests/Adapter/AdapterTestCase.php';
require_once getenv('SYMFONY').'/Component/Cache/Tests/Psr16CacheTest.php';

// Where Symfony's own configuration lets a false clock stand in for the real one.
foreach (['Cache\IntegrationTests', 'Symfony\Component\Cache', 'Symfony\Component\Cache\Adapter',
	'Symfony\Component\Cache\Tests', 'Symfony\Component\Cache\Tests\Adapter', 'Symfony\Component\Cache\Traits'] as $namespace) {
	ClockMock::register($namespace.'\Any');
}

define('MAP', 'map' === getenv('KIND'));
define('DSN', sprintf('pgsql:host=%s;user=%s;dbname=%s', getenv('PGHOST'), getenv('PGUSER'), getenv('PGDATABASE')));

// PHPUnit keeps every test until the end, and with it what it holds, so they share one.
function connection(): PDO
{
	static $connection;

	return $connection ?? $connection = new PDO(DSN, null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

// A table is made by the adapter, a map is there before.
if (!MAP) {
	(new PdoAdapter(DSN))->createTable();
}

class Tap extends DefaultResultPrinter
{
	private $bad;

	public function write(string $text): void
	{
	}

	public function printResult(TestResult $result): void
	{
	}

	public function startTest(Test $test): void
	{
		$this->bad = [];
	}

	public function addError(Test $test, Throwable $error, float $time): void
	{
		$this->bad[] = $error;
	}

	public function addFailure(Test $test, AssertionFailedError $error, float $time): void
	{
		$this->bad[] = $error;
	}

	public function addWarning(Test $test, Warning $error, float $time): void
	{
		$this->bad[] = $error;
	}

	public function addIncompleteTest(Test $test, Throwable $error, float $time): void
	{
		$this->bad[] = $error;
	}

	// A risky test is one that asserts nothing.
	public function addRiskyTest(Test $test, Throwable $error, float $time): void
	{
	}

	public function addSkippedTest(Test $test, Throwable $error, float $time): void
	{
		$this->bad = null;
		$this->line("# skipped: {$this->name($test)}: {$error->getMessage()}");
	}

	public function endTest(Test $test, float $time): void
	{
		if (null === $this->bad) {
			return;
		}
		$this->line(($this->bad ? 'not ok - ' : 'ok - ').$this->name($test));
		foreach ($this->bad as $error) {
			foreach (explode("\n", TestFailure::exceptionToString($error).$error->getTraceAsString()) as $line) {
				$this->line("# $line");
			}
		}
	}

	// What a provider gives may be anything, so a data set is told by its number or name.
	private function name(Test $test): string
	{
		$set = method_exists($test, 'dataName') && '' !== (string) $test->dataName() ? ' '.$test->dataName() : '';

		return basename(strtr(get_class($test), '\\', '/')).'.'.$test->getName(false).$set;
	}

	private function line(string $text): void
	{
		fwrite(STDOUT, preg_replace('/[^\x20-\x7e]/', '?', $text)."\n");
	}
}
