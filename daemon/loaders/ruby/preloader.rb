# frozen_string_literal: true

# Loads a Rack app once and forks the processes that serve it: descriptor 3 brings orders, descriptor 4 reports
# (docs/APP-PROTOCOL.md, "Preloaders").

require_relative 'flying_passenger/settings'
require_relative 'flying_passenger/events'
require_relative 'flying_passenger/application'

module FlyingPassenger
  # The app may close or replace its standard input.
  OWNER = STDIN.dup
  REPORT = Report.new(4)
  REPORT.loading
  SETTINGS = Settings.take
  # The loader itself needs libraries that also come as gems: Bundler has to choose their versions first.
  REPORT.failures { Application.set_up(SETTINGS) }
end

require_relative 'flying_passenger/server'
require_relative 'flying_passenger/native'
require_relative 'flying_passenger/reactor'
require_relative 'flying_passenger/fork_server'
require_relative 'flying_passenger/before_forking'
require_relative 'flying_passenger/databases'

module FlyingPassenger
  # Why native support is not used, or nil.
  NATIVE = Native.load(SETTINGS.native)

  # The preloader's life, and then that of each process forked from it.
  module Preloader
    CONTROL_FD = 3

    module_function

    def main
      $stdout.sync = $stderr.sync = true
      forks = ForkServer.new(CONTROL_FD, OWNER)
      $PROGRAM_NAME = "Passenger AppPreloader: #{SETTINGS.group}"
      app = REPORT.failures { prepare }
      REPORT.ready
      handed = forks.run
      serve(app, handed) if handed
    end

    def prepare
      app = Application.load(SETTINGS.startup_file)
      BeforeForking.run
      app
    end

    def serve(app, handed)
      $PROGRAM_NAME = "Passenger RubyApp: #{SETTINGS.group}"
      report = Report.new(handed.report)
      report.failures { start }
      Server.new(handed.listener, OWNER, app, SETTINGS.threads, NATIVE).run(report)
      PhusionPassenger.call_event(:stopping_worker_process)
      Reactor.stop
    end

    def start
      srand
      Databases.after_forking
      PhusionPassenger.call_event(:starting_worker_process, true)
    end
  end
end

FlyingPassenger::Preloader.main
